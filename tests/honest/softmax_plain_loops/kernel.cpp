#include <assay/kernel.h>

#include <cmath>

extern "C" int assay_kernel(const assay_call* call) {
  const float* x = assay_in<float>(call, 0);
  float* y = assay_out<float>(call, 0);
  const int64_t rows = call->inputs[0].shape[0];
  const int64_t cols = call->inputs[0].shape[1];
  for (int64_t i = 0; i < rows; i++) {
    float biggest = x[i * cols];
    for (int64_t j = 1; j < cols; j++)
      if (x[i * cols + j] > biggest) biggest = x[i * cols + j];
    float sum = 0.0f;
    for (int64_t j = 0; j < cols; j++) {
      y[i * cols + j] = std::exp(x[i * cols + j] - biggest);
      sum += y[i * cols + j];
    }
    for (int64_t j = 0; j < cols; j++) y[i * cols + j] /= sum;
  }
  return 0;
}
