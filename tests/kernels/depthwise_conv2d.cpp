// Depthwise 3 x 3 convolution, bias and ReLU6: each plane is copied into a zero-padded one that stays in cache.
#include <assay/kernel.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace {

void convolve(const float* padded, const float* w, float bias, float* y, int64_t height, int64_t width) {
  const int64_t pitch = width + 2;
  for (int64_t h = 0; h < height; h++) {
    const float* a = padded + h * pitch;
    const float* b = a + pitch;
    const float* c = b + pitch;
    float* out = y + h * width;
#pragma omp simd
    for (int64_t i = 0; i < width; i++) {
      float sum = a[i] * w[0] + a[i + 1] * w[1] + a[i + 2] * w[2];
      sum += b[i] * w[3] + b[i + 1] * w[4] + b[i + 2] * w[5];
      sum += c[i] * w[6] + c[i + 1] * w[7] + c[i + 2] * w[8];
      const float v = sum + bias;
      const float positive = v > 0.0f ? v : 0.0f;
      out[i] = positive < 6.0f ? positive : 6.0f;
    }
  }
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const float* x = assay_in<float>(call, 0);
  const float* weight = assay_weight<float>(call, 0);
  const float* bias = assay_weight<float>(call, 1);
  float* y = assay_out<float>(call, 0);
  const int64_t* shape = call->inputs[0].shape;
  const int64_t channels = shape[1], height = shape[2], width = shape[3];
  const int64_t pitch = width + 2;
#pragma omp parallel num_threads(call->n_threads)
  {
    std::vector<float> padded((height + 2) * pitch);
#pragma omp for schedule(static)
    for (int64_t plane = 0; plane < shape[0] * channels; plane++) {
      const float* in = x + plane * height * width;
      for (int64_t h = 0; h < height; h++)
        std::memcpy(padded.data() + (h + 1) * pitch + 1, in + h * width, width * sizeof(float));
      const int64_t c = plane % channels;
      convolve(padded.data(), weight + c * 9, bias[c], y + plane * height * width, height, width);
    }
  }
  return 0;
}
