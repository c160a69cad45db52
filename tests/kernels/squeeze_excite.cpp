// Squeeze and excitation: channel means, two small layers, and a gate per channel; an image's planes stay in cache
// between the means and the gating.
#include <assay/kernel.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace {

float plane_mean(const float* x, int64_t pixels) {
  double total = 0.0;
  for (int64_t start = 0; start < pixels; start += 512) {
    const int64_t end = std::min<int64_t>(start + 512, pixels);
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t p = start; p < end; p++) sum += x[p];
    total += sum;
  }
  return static_cast<float>(total / static_cast<double>(pixels));
}

// y[o] = bias[o] + sum of weight[o][i] x[i].
void linear(const float* weight, const float* bias, const float* x, float* y, int64_t out, int64_t in) {
  for (int64_t o = 0; o < out; o++) {
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < in; i++) sum += weight[o * in + i] * x[i];
    y[o] = sum + bias[o];
  }
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const float* x = assay_in<float>(call, 0);
  const float* down = assay_weight<float>(call, 0);
  const float* down_bias = assay_weight<float>(call, 1);
  const float* up = assay_weight<float>(call, 2);
  const float* up_bias = assay_weight<float>(call, 3);
  float* y = assay_out<float>(call, 0);
  const int64_t* shape = call->inputs[0].shape;
  const int64_t batch = shape[0], channels = shape[1], pixels = shape[2] * shape[3];
  const int64_t hidden = call->weights[0].shape[0];
  std::vector<float> means(channels), middle(hidden), gate(channels);
#pragma omp parallel num_threads(call->n_threads)
  for (int64_t b = 0; b < batch; b++) {
    const float* image = x + b * channels * pixels;
#pragma omp for schedule(static)
    for (int64_t c = 0; c < channels; c++) means[c] = plane_mean(image + c * pixels, pixels);
#pragma omp single
    {
      linear(down, down_bias, means.data(), middle.data(), hidden, channels);
      for (float& m : middle) m = std::max(m, 0.0f);
      linear(up, up_bias, middle.data(), gate.data(), channels, hidden);
      for (float& g : gate) g = 1.0f / (1.0f + std::exp(-g));
    }
#pragma omp for schedule(static)
    for (int64_t c = 0; c < channels; c++) {
      const float* in = image + c * pixels;
      float* out = y + (b * channels + c) * pixels;
      const float g = gate[c];
#pragma omp simd
      for (int64_t p = 0; p < pixels; p++) out[p] = in[p] * g;
    }
  }
  return 0;
}
