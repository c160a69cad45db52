#include <assay/kernel.h>

#include <cmath>

namespace {

float pairwise_sum(const float* a, int64_t n) {
  if (n <= 32) {
    float s = 0.0f;
    for (int64_t i = 0; i < n; i++) s += a[i];
    return s;
  }
  return pairwise_sum(a, n / 2) + pairwise_sum(a + n / 2, n - n / 2);
}

float pairwise_square_sum(const float* a, float mean, int64_t n) {
  if (n <= 32) {
    float s = 0.0f;
    for (int64_t i = 0; i < n; i++) s = std::fma(a[i] - mean, a[i] - mean, s);
    return s;
  }
  return pairwise_square_sum(a, mean, n / 2) + pairwise_square_sum(a + n / 2, mean, n - n / 2);
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const float *x = assay_in<float>(call, 0), *residual = assay_in<float>(call, 1);
  const float *weight = assay_weight<float>(call, 0), *bias = assay_weight<float>(call, 1);
  float *total = assay_out<float>(call, 0), *normal = assay_out<float>(call, 1);
  const int64_t tokens = call->inputs[0].shape[0], width = call->inputs[0].shape[1];
#pragma omp parallel for schedule(static) num_threads(call->n_threads)
  for (int64_t i = 0; i < tokens; i++) {
    float* t = total + i * width;
    for (int64_t j = 0; j < width; j++) t[j] = x[i * width + j] + residual[i * width + j];
    const float mean = pairwise_sum(t, width) / width;
    const float variance = pairwise_square_sum(t, mean, width) / width;
    const float rstd = 1.0f / std::sqrt(variance + 1e-5f);
    for (int64_t j = 0; j < width; j++) normal[i * width + j] = std::fma((t[j] - mean) * rstd, weight[j], bias[j]);
  }
  return 0;
}
