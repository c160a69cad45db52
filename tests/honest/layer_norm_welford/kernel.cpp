#include <assay/kernel.h>

#include <cmath>

extern "C" int assay_kernel(const assay_call* call) {
  const float* x = assay_in<float>(call, 0);
  const float* weight = assay_weight<float>(call, 0);
  const float* bias = assay_weight<float>(call, 1);
  float* y = assay_out<float>(call, 0);
  const int64_t tokens = call->inputs[0].shape[0], width = call->inputs[0].shape[1];
#pragma omp parallel for num_threads(call->n_threads)
  for (int64_t i = 0; i < tokens; i++) {
    const float* row = x + i * width;
    float mean = 0.0f, m2 = 0.0f;
    for (int64_t j = 0; j < width; j++) {
      const float delta = row[j] - mean;
      mean += delta / static_cast<float>(j + 1);
      m2 += delta * (row[j] - mean);
    }
    const float rstd = 1.0f / std::sqrt(m2 / static_cast<float>(width) + 1e-5f);
    for (int64_t j = 0; j < width; j++) y[i * width + j] = (row[j] - mean) * rstd * weight[j] + bias[j];
  }
  return 0;
}
