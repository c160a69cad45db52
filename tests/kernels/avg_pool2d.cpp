// 3 x 3 mean with stride 1 and padding 1, the padding counted: rows are added into a padded line, then windows of it.
#include <assay/kernel.h>

#include <vector>

namespace {

void pool_plane(const float* x, float* y, int64_t height, int64_t width, float* line) {
  line[0] = 0.0f;
  line[width + 1] = 0.0f;
  for (int64_t h = 0; h < height; h++) {
    const float* row = x + h * width;
#pragma omp simd
    for (int64_t w = 0; w < width; w++) line[w + 1] = row[w];
    if (h > 0) {
#pragma omp simd
      for (int64_t w = 0; w < width; w++) line[w + 1] += row[w - width];
    }
    if (h + 1 < height) {
#pragma omp simd
      for (int64_t w = 0; w < width; w++) line[w + 1] += row[w + width];
    }
    float* out = y + h * width;
#pragma omp simd
    for (int64_t w = 0; w < width; w++) out[w] = (line[w] + line[w + 1] + line[w + 2]) / 9.0f;
  }
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const float* x = assay_in<float>(call, 0);
  float* y = assay_out<float>(call, 0);
  const int64_t* shape = call->inputs[0].shape;
  const int64_t planes = shape[0] * shape[1], height = shape[2], width = shape[3];
#pragma omp parallel num_threads(call->n_threads)
  {
    std::vector<float> line(width + 2);
#pragma omp for schedule(static)
    for (int64_t p = 0; p < planes; p++) {
      pool_plane(x + p * height * width, y + p * height * width, height, width, line.data());
    }
  }
  return 0;
}
