#include <assay/kernel.h>

constexpr int64_t BLOCK = 16;

extern "C" int assay_kernel(const assay_call* call) {
  const int64_t rows = call->inputs[0].shape[0] - 1, width = call->inputs[3].shape[1];
  const int64_t *starts = assay_in<int64_t>(call, 0), *columns = assay_in<int64_t>(call, 1);
  const float *values = assay_in<float>(call, 2), *x = assay_in<float>(call, 3);
  float* y = assay_out<float>(call, 0);
#pragma omp parallel for schedule(dynamic, 32) num_threads(call->n_threads)
  for (int64_t i = 0; i < rows; i++) {
    int64_t j = 0;
    for (; j + BLOCK <= width; j += BLOCK) {
      float sum[BLOCK] = {};
      for (int64_t e = starts[i]; e < starts[i + 1]; e++)
        for (int64_t l = 0; l < BLOCK; l++) sum[l] += values[e] * x[columns[e] * width + j + l];
      for (int64_t l = 0; l < BLOCK; l++) y[i * width + j + l] = sum[l];
    }
    for (; j < width; j++) {
      float sum = 0.0f;
      for (int64_t e = starts[i]; e < starts[i + 1]; e++) sum += values[e] * x[columns[e] * width + j];
      y[i * width + j] = sum;
    }
  }
  return 0;
}
