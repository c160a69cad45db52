#include "gemm.h"

#include <algorithm>

namespace {

template <int ROWS>
void panel_product(const float* x, const float* panel, int64_t in, int64_t stride, int64_t width, float* y) {
  float sum[ROWS][PANEL] = {};
  for (int64_t k = 0; k < in; k++)
    for (int r = 0; r < ROWS; r++)
      for (int64_t j = 0; j < PANEL; j++) sum[r][j] += x[r * in + k] * panel[k * PANEL + j];
  for (int r = 0; r < ROWS; r++) std::copy(sum[r], sum[r] + width, y + r * stride);
}

}  // namespace

void multiply_block(const float* x, const PackedWeight& weight, int64_t rows, float* y) {
  const int64_t in = weight.in(), out = weight.out();
  for (int64_t p = 0; p < weight.panels(); p++) {
    const int64_t width = std::min(PANEL, out - p * PANEL);
    const float* panel = weight.panel(p);
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) panel_product<4>(x + r * in, panel, in, out, width, y + r * out + p * PANEL);
    for (; r < rows; r++) panel_product<1>(x + r * in, panel, in, out, width, y + r * out + p * PANEL);
  }
}
