// Adaptive mean to 7 x 7: window i covers floor(i n / 7) to ceil((i + 1) n / 7). Rows are added first, then columns.
#include <assay/kernel.h>

#include <vector>

namespace {

inline int64_t window_start(int64_t i, int64_t in, int64_t out) {
  return i * in / out;
}
inline int64_t window_end(int64_t i, int64_t in, int64_t out) {
  return ((i + 1) * in + out - 1) / out;
}

void pool_plane(const float* x, float* y, int64_t height, int64_t width, int64_t out_height, int64_t out_width,
                float* line) {
  for (int64_t oh = 0; oh < out_height; oh++) {
    const int64_t top = window_start(oh, height, out_height), bottom = window_end(oh, height, out_height);
#pragma omp simd
    for (int64_t w = 0; w < width; w++) line[w] = x[top * width + w];
    for (int64_t h = top + 1; h < bottom; h++) {
#pragma omp simd
      for (int64_t w = 0; w < width; w++) line[w] += x[h * width + w];
    }
    for (int64_t ow = 0; ow < out_width; ow++) {
      const int64_t left = window_start(ow, width, out_width), right = window_end(ow, width, out_width);
      float sum = 0.0f;
      for (int64_t w = left; w < right; w++) sum += line[w];
      y[oh * out_width + ow] = sum / static_cast<float>((bottom - top) * (right - left));
    }
  }
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const float* x = assay_in<float>(call, 0);
  float* y = assay_out<float>(call, 0);
  const int64_t* in = call->inputs[0].shape;
  const int64_t* out = call->outputs[0].shape;
  const int64_t planes = in[0] * in[1], height = in[2], width = in[3];
#pragma omp parallel num_threads(call->n_threads)
  {
    std::vector<float> line(width);
#pragma omp for schedule(static)
    for (int64_t p = 0; p < planes; p++) {
      pool_plane(x + p * height * width, y + p * out[2] * out[3], height, width, out[2], out[3], line.data());
    }
  }
  return 0;
}
