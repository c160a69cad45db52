#include <assay/kernel.h>
#include <immintrin.h>

namespace {

int64_t argmax_row(const float* x, int64_t n) {
  int64_t best = 0, j = 0;
  if (n >= 16) {
    __m512 top = _mm512_loadu_ps(x);
    const __m512i step = _mm512_set1_epi32(16);
    __m512i at = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), where = at;
    for (j = 16; j + 16 <= n; j += 16) {
      at = _mm512_add_epi32(at, step);
      const __m512 v = _mm512_loadu_ps(x + j);
      const __mmask16 larger = _mm512_cmp_ps_mask(v, top, _CMP_GT_OQ);
      top = _mm512_mask_mov_ps(top, larger, v);
      where = _mm512_mask_mov_epi32(where, larger, at);
    }
    alignas(64) float value[16];
    alignas(64) int32_t index[16];
    _mm512_store_ps(value, top);
    _mm512_store_si512(index, where);
    best = index[0];
    for (int l = 1; l < 16; l++)
      if (value[l] > x[best] || (value[l] == x[best] && index[l] < best)) best = index[l];
  }
  for (; j < n; j++)
    if (x[j] > x[best]) best = j;
  return best;
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const int64_t rows = call->inputs[0].shape[0], cols = call->inputs[0].shape[1];
  const float* x = assay_in<float>(call, 0);
  int64_t* y = assay_out<int64_t>(call, 0);
#pragma omp parallel for num_threads(call->n_threads)
  for (int64_t i = 0; i < rows; i++) y[i] = argmax_row(x + i * cols, cols);
  return 0;
}
