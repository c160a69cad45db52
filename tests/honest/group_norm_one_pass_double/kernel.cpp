#include <assay/kernel.h>

#include <algorithm>
#include <cmath>

constexpr int64_t GROUPS = 8;

extern "C" int assay_kernel(const assay_call* call) {
  const assay_tensor& in = call->inputs[0];
  const int64_t batch = in.shape[0], channels = in.shape[1], pixels = in.shape[2] * in.shape[3];
  const int64_t per_group = channels / GROUPS;
  const float *x = assay_in<float>(call, 0), *gamma = assay_weight<float>(call, 0),
              *beta = assay_weight<float>(call, 1);
  float* y = assay_out<float>(call, 0);
#pragma omp parallel for collapse(2) num_threads(call->n_threads)
  for (int64_t b = 0; b < batch; b++) {
    for (int64_t g = 0; g < GROUPS; g++) {
      const int64_t start = (b * channels + g * per_group) * pixels, n = per_group * pixels;
      const float* a = x + start;
      double sum[4] = {}, squares[4] = {};
      for (int64_t i = 0; i < n; i++) {
        const double v = a[i];
        sum[i & 3] += v;
        squares[i & 3] += v * v;
      }
      const double mean = ((sum[0] + sum[1]) + (sum[2] + sum[3])) / n;
      const double square = ((squares[0] + squares[1]) + (squares[2] + squares[3])) / n;
      const double rstd = 1.0 / std::sqrt(std::max(0.0, square - mean * mean) + 1e-5);
      for (int64_t c = 0; c < per_group; c++) {
        const double scale = gamma[g * per_group + c] * rstd;
        const double shift = beta[g * per_group + c] - mean * scale;
        for (int64_t p = 0; p < pixels; p++)
          y[start + c * pixels + p] = static_cast<float>(a[c * pixels + p] * scale + shift);
      }
    }
  }
  return 0;
}
