#include <assay/kernel.h>

#include <cmath>

extern "C" int assay_kernel(const assay_call* call) {
  const float* __restrict x = assay_in<float>(call, 0);
  float* __restrict y = assay_out<float>(call, 0);
  const int64_t rows = call->inputs[0].shape[0], cols = call->inputs[0].shape[1];
#pragma omp parallel for num_threads(call->n_threads)
  for (int64_t i = 0; i < rows; i++) {
    const float* __restrict a = x + i * cols;
    float* __restrict b = y + i * cols;
    float top = a[0];
    for (int64_t j = 0; j < cols; j++) top = a[j] > top ? a[j] : top;
    float sum = 0.0f;
    for (int64_t j = 0; j < cols; j++) {
      // -ffast-math assumes that nothing is infinite, so keep the exponent in range ourselves
      const float d = a[j] * 0.5f - top * 0.5f;
      b[j] = expf(2.0f * (d < -60.0f ? -60.0f : d));
      sum += b[j];
    }
    const float scale = 1.0f / sum;
    for (int64_t j = 0; j < cols; j++) b[j] *= scale;
  }
  return 0;
}
