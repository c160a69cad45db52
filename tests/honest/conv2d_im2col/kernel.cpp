#include <assay/kernel.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace {

// columns[(c * 9 + tap) * width + j]: the 3 x 3 neighbourhood of row i, zeros outside of the image
void im2col_row(const float* image, int64_t channels, int64_t height, int64_t width, int64_t i, float* columns) {
  for (int64_t c = 0; c < channels; c++)
    for (int64_t dy = -1; dy <= 1; dy++)
      for (int64_t dx = -1; dx <= 1; dx++, columns += width) {
        std::memset(columns, 0, width * sizeof(float));
        if (i + dy < 0 || i + dy >= height) continue;
        const float* source = image + (c * height + i + dy) * width;
        const int64_t from = std::max<int64_t>(0, -dx), to = std::min(width, width - dx);
        if (to > from) std::memcpy(columns + from, source + from + dx, (to - from) * sizeof(float));
      }
}

// out (4 x width) = weights (4 x depth) columns (depth x width), bias and ReLU; width is at most 64 at a time
void gemm_strip(const float* weights, int64_t depth, const float* columns, int64_t width, const float* bias, float* out,
                int64_t out_stride) {
  constexpr int64_t STRIP = 64;
  for (int64_t j = 0; j < width; j += STRIP) {
    const int64_t n = std::min(STRIP, width - j);
    float sum[4][STRIP] = {};
    for (int64_t k = 0; k < depth; k++) {
      const float* source = columns + k * width + j;
      for (int r = 0; r < 4; r++) {
        const float w = weights[r * depth + k];
        for (int64_t p = 0; p < n; p++) sum[r][p] += w * source[p];
      }
    }
    for (int r = 0; r < 4; r++)
      for (int64_t p = 0; p < n; p++) out[r * out_stride + j + p] = std::max(0.0f, sum[r][p] + bias[r]);
  }
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const assay_tensor& in = call->inputs[0];
  const int64_t batch = in.shape[0], channels = in.shape[1], height = in.shape[2], width = in.shape[3];
  const int64_t out_channels = call->outputs[0].shape[1], depth = channels * 9;
  if (out_channels % 4 != 0) return 1;  // the task fixes 64
  const float *x = assay_in<float>(call, 0), *w = assay_weight<float>(call, 0), *bias = assay_weight<float>(call, 1);
  float* y = assay_out<float>(call, 0);
#pragma omp parallel for collapse(2) num_threads(call->n_threads)
  for (int64_t b = 0; b < batch; b++)
    for (int64_t i = 0; i < height; i++) {
      static thread_local std::vector<float> columns;
      if (static_cast<int64_t>(columns.size()) < depth * width) columns.resize(depth * width);
      im2col_row(x + b * channels * height * width, channels, height, width, i, columns.data());
      for (int64_t o = 0; o < out_channels; o += 4)
        gemm_strip(w + o * depth, depth, columns.data(), width, bias + o,
                   y + ((b * out_channels + o) * height + i) * width, height * width);
    }
  return 0;
}
