// Transpose in tiles of 16 x 16: sixteen row vectors are shuffled into sixteen column vectors in registers.
#include <assay/kernel.h>
#include <immintrin.h>

#include <algorithm>

namespace {

constexpr int64_t kTile = 16;

void transpose_16x16(const float* x, int64_t x_pitch, float* y, int64_t y_pitch) {
  __m512 a[16], b[16];
  for (int i = 0; i < 16; i++) a[i] = _mm512_loadu_ps(x + i * x_pitch);
  for (int i = 0; i < 16; i += 2) {
    b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    a[i] = _mm512_shuffle_ps(b[i], b[i + 2], 0x44);
    a[i + 1] = _mm512_shuffle_ps(b[i], b[i + 2], 0xEE);
    a[i + 2] = _mm512_shuffle_ps(b[i + 1], b[i + 3], 0x44);
    a[i + 3] = _mm512_shuffle_ps(b[i + 1], b[i + 3], 0xEE);
  }
  for (int i = 0; i < 4; i++) {
    for (int j = 0; j < 16; j += 8) {
      b[j + i] = _mm512_shuffle_f32x4(a[j + i], a[j + 4 + i], 0x88);
      b[j + 4 + i] = _mm512_shuffle_f32x4(a[j + i], a[j + 4 + i], 0xDD);
    }
  }
  for (int i = 0; i < 8; i++) {
    a[i] = _mm512_shuffle_f32x4(b[i], b[8 + i], 0x88);
    a[8 + i] = _mm512_shuffle_f32x4(b[i], b[8 + i], 0xDD);
  }
  for (int i = 0; i < 16; i++) _mm512_storeu_ps(y + i * y_pitch, a[i]);
}

void transpose_edge(const float* x, int64_t x_pitch, float* y, int64_t y_pitch, int64_t rows, int64_t cols) {
  for (int64_t c = 0; c < cols; c++)
    for (int64_t r = 0; r < rows; r++) y[c * y_pitch + r] = x[r * x_pitch + c];
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const float* x = assay_in<float>(call, 0);
  float* y = assay_out<float>(call, 0);
  const int64_t rows = call->inputs[0].shape[0], cols = call->inputs[0].shape[1];
#pragma omp parallel for collapse(2) num_threads(call->n_threads) schedule(static)
  for (int64_t c = 0; c < cols; c += kTile) {
    for (int64_t r = 0; r < rows; r += kTile) {
      const float* in = x + r * cols + c;
      float* out = y + c * rows + r;
      if (r + kTile <= rows && c + kTile <= cols) {
        transpose_16x16(in, cols, out, rows);
      } else {
        transpose_edge(in, cols, out, rows, std::min(kTile, rows - r), std::min(kTile, cols - c));
      }
    }
  }
  return 0;
}
