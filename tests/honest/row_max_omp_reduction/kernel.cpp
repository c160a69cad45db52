#include <assay/kernel.h>

extern "C" int assay_kernel(const assay_call* call) {
  const int64_t rows = call->inputs[0].shape[0], cols = call->inputs[0].shape[1];
  const float* x = assay_in<float>(call, 0);
  float* y = assay_out<float>(call, 0);
  if (rows < 4) {
    for (int64_t i = 0; i < rows; i++) {
      float top = x[i * cols];
#pragma omp parallel for reduction(max : top) num_threads(call->n_threads)
      for (int64_t j = 0; j < cols; j++) top = x[i * cols + j] > top ? x[i * cols + j] : top;
      y[i] = top;
    }
    return 0;
  }
#pragma omp parallel for num_threads(call->n_threads)
  for (int64_t i = 0; i < rows; i++) {
    float top = x[i * cols];
#pragma omp simd reduction(max : top)
    for (int64_t j = 0; j < cols; j++) top = x[i * cols + j] > top ? x[i * cols + j] : top;
    y[i] = top;
  }
  return 0;
}
