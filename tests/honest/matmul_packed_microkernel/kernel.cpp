#include <assay/kernel.h>
#include <immintrin.h>

#include <algorithm>

#include "workspace.h"

namespace {

constexpr int64_t MR = 8, NR = 32;

// c[0:8, 0:32] = sum over k of a (k x 8 panel) times b (k x 32 panel)
void micro_kernel(const float* a, const float* b, int64_t k, float* tile) {
  __m512 c[MR][2];
  for (auto& r : c) r[0] = r[1] = _mm512_setzero_ps();
  for (int64_t p = 0; p < k; p++, a += MR, b += NR) {
    const __m512 b0 = _mm512_load_ps(b), b1 = _mm512_load_ps(b + 16);
#pragma GCC unroll 8
    for (int i = 0; i < MR; i++) {
      const __m512 v = _mm512_set1_ps(a[i]);
      c[i][0] = _mm512_fmadd_ps(v, b0, c[i][0]);
      c[i][1] = _mm512_fmadd_ps(v, b1, c[i][1]);
    }
  }
  for (int i = 0; i < MR; i++) {
    _mm512_storeu_ps(tile + i * NR, c[i][0]);
    _mm512_storeu_ps(tile + i * NR + 16, c[i][1]);
  }
}

void pack_a(const float* a, int64_t m, int64_t k, int64_t panel, float* out) {
  for (int64_t p = 0; p < k; p++)
    for (int64_t i = 0; i < MR; i++) {
      const int64_t row = panel * MR + i;
      *out++ = row < m ? a[row * k + p] : 0.0f;
    }
}

void pack_b(const float* b, int64_t k, int64_t n, int64_t panel, float* out) {
  for (int64_t p = 0; p < k; p++)
    for (int64_t j = 0; j < NR; j++) {
      const int64_t col = panel * NR + j;
      *out++ = col < n ? b[p * n + col] : 0.0f;
    }
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const int64_t m = call->inputs[0].shape[0], k = call->inputs[0].shape[1], n = call->inputs[1].shape[1];
  const float *a = assay_in<float>(call, 0), *b = assay_in<float>(call, 1);
  float* c = assay_out<float>(call, 0);
  const int64_t a_panels = (m + MR - 1) / MR, b_panels = (n + NR - 1) / NR;
  static Workspace workspace;
  float* packed_b = workspace.floats(b_panels * NR * k + a_panels * MR * k);
  if (packed_b == nullptr) return 1;
  float* packed_a = packed_b + b_panels * NR * k;
#pragma omp parallel num_threads(call->n_threads)
  {
#pragma omp for nowait
    for (int64_t i = 0; i < a_panels; i++) pack_a(a, m, k, i, packed_a + i * MR * k);
#pragma omp for
    for (int64_t j = 0; j < b_panels; j++) pack_b(b, k, n, j, packed_b + j * NR * k);
#pragma omp for collapse(2) schedule(static)
    for (int64_t j = 0; j < b_panels; j++)
      for (int64_t i = 0; i < a_panels; i++) {
        alignas(64) float tile[MR * NR];
        micro_kernel(packed_a + i * MR * k, packed_b + j * NR * k, k, tile);
        const int64_t height = std::min(MR, m - i * MR), width = std::min(NR, n - j * NR);
        for (int64_t r = 0; r < height; r++)
          std::copy(tile + r * NR, tile + r * NR + width, c + (i * MR + r) * n + j * NR);
      }
  }
  return 0;
}
