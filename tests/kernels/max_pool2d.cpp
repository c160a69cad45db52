// 3 x 3 maximum with stride 2 and padding 1: three rows are merged into a padded line, then windows of the line.
#include <assay/kernel.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace {

void pool_plane(const float* x, float* y, int64_t height, int64_t width, float* line) {
  const int64_t out_height = (height - 1) / 2 + 1, out_width = (width - 1) / 2 + 1;
  line[0] = -INFINITY;
  line[width + 1] = -INFINITY;
  for (int64_t oh = 0; oh < out_height; oh++) {
    const float* above = x + std::max<int64_t>(2 * oh - 1, 0) * width;
    const float* middle = x + 2 * oh * width;
    const float* below = x + std::min<int64_t>(2 * oh + 1, height - 1) * width;
#pragma omp simd
    for (int64_t w = 0; w < width; w++) {
      const float m = above[w] > middle[w] ? above[w] : middle[w];
      line[w + 1] = m > below[w] ? m : below[w];
    }
    float* out = y + oh * out_width;
#pragma omp simd
    for (int64_t ow = 0; ow < out_width; ow++) {
      const float a = line[2 * ow], b = line[2 * ow + 1], c = line[2 * ow + 2];
      const float m = a > b ? a : b;
      out[ow] = m > c ? m : c;
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
    std::vector<float> line(width + 2);
#pragma omp for schedule(static)
    for (int64_t p = 0; p < planes; p++) {
      pool_plane(x + p * height * width, y + p * out[2] * out[3], height, width, line.data());
    }
  }
  return 0;
}
