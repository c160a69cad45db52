#include <assay/kernel.h>

#include <vector>

constexpr int64_t GRID = 7;

extern "C" int assay_kernel(const assay_call* call) {
  const assay_tensor& in = call->inputs[0];
  const int64_t planes = in.shape[0] * in.shape[1], height = in.shape[2], width = in.shape[3], stride = width + 1;
  const float* x = assay_in<float>(call, 0);
  float* y = assay_out<float>(call, 0);
#pragma omp parallel num_threads(call->n_threads)
  {
    std::vector<double> area((height + 1) * stride, 0.0);  // area[i][j]: sum of what lies above and left of (i, j)
#pragma omp for
    for (int64_t p = 0; p < planes; p++) {
      const float* plane = x + p * height * width;
      for (int64_t i = 0; i < height; i++) {
        double row = 0.0;
        for (int64_t j = 0; j < width; j++) {
          row += plane[i * width + j];
          area[(i + 1) * stride + j + 1] = area[i * stride + j + 1] + row;
        }
      }
      for (int64_t a = 0; a < GRID; a++)
        for (int64_t b = 0; b < GRID; b++) {
          const int64_t top = a * height / GRID, bottom = ((a + 1) * height + GRID - 1) / GRID;
          const int64_t left = b * width / GRID, right = ((b + 1) * width + GRID - 1) / GRID;
          const double sum = (area[bottom * stride + right] - area[top * stride + right]) -
                             (area[bottom * stride + left] - area[top * stride + left]);
          y[(p * GRID + a) * GRID + b] = static_cast<float>(sum / ((bottom - top) * (right - left)));
        }
    }
  }
  return 0;
}
