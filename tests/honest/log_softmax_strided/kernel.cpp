#include <assay/kernel.h>

#include <algorithm>
#include <cmath>

constexpr int64_t STRIP = 32;

extern "C" int assay_kernel(const assay_call* call) {
  const assay_tensor& in = call->inputs[0];
  const int64_t batch = in.shape[0], classes = in.shape[1], pixels = in.shape[2] * in.shape[3];
  const float* x = assay_in<float>(call, 0);
  float* y = assay_out<float>(call, 0);
#pragma omp parallel for collapse(2) num_threads(call->n_threads)
  for (int64_t b = 0; b < batch; b++)
    for (int64_t start = 0; start < pixels; start += STRIP) {
      const int64_t n = std::min(STRIP, pixels - start);
      const float* a = x + b * classes * pixels + start;
      float* out = y + b * classes * pixels + start;
      float top[STRIP], sum[STRIP] = {};
      std::copy(a, a + n, top);
      for (int64_t c = 1; c < classes; c++)
        for (int64_t p = 0; p < n; p++) top[p] = std::max(top[p], a[c * pixels + p]);
      for (int64_t c = 0; c < classes; c++)
        for (int64_t p = 0; p < n; p++) sum[p] += std::exp(a[c * pixels + p] - top[p]);
      for (int64_t p = 0; p < n; p++) sum[p] = std::log(sum[p]);
      for (int64_t c = 0; c < classes; c++)
        for (int64_t p = 0; p < n; p++) out[c * pixels + p] = (a[c * pixels + p] - top[p]) - sum[p];
    }
  return 0;
}
