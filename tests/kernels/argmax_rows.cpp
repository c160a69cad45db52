// Index of the largest value of each row, the first one on ties: each lane keeps the first index of its maximum (a
// strict comparison), and the lanes that share the row's maximum are settled by the smallest index.
#include <assay/kernel.h>
#include <immintrin.h>

#include <cmath>

namespace {

int64_t first_max(const float* x, int64_t cols) {
  __m512 best = _mm512_set1_ps(-INFINITY);
  __m512i where = _mm512_set1_epi32(INT32_MAX);
  __m512i index = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i step = _mm512_set1_epi32(16);
  for (int64_t c = 0; c < cols; c += 16) {
    const int64_t left = cols - c;
    const __mmask16 inside = left >= 16 ? 0xFFFF : static_cast<__mmask16>((1u << left) - 1);
    const __m512 v = _mm512_maskz_loadu_ps(inside, x + c);
    const __mmask16 larger = _mm512_mask_cmp_ps_mask(inside, v, best, _CMP_GT_OQ);
    best = _mm512_mask_mov_ps(best, larger, v);
    where = _mm512_mask_mov_epi32(where, larger, index);
    index = _mm512_add_epi32(index, step);
  }
  const __m512 top = _mm512_set1_ps(_mm512_reduce_max_ps(best));
  const __mmask16 winners = _mm512_cmp_ps_mask(best, top, _CMP_EQ_OQ);
  return _mm512_mask_reduce_min_epi32(winners, where);
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const float* x = assay_in<float>(call, 0);
  int64_t* y = assay_out<int64_t>(call, 0);
  const int64_t rows = call->inputs[0].shape[0], cols = call->inputs[0].shape[1];
#pragma omp parallel for num_threads(call->n_threads) schedule(static)
  for (int64_t r = 0; r < rows; r++) y[r] = first_max(x + r * cols, cols);
  return 0;
}
