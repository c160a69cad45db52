// y[r][p] = x[r][index[r][p]], sixteen at a time with the gather instruction. Indices are 64 bits wide; the offset
// within a row fits 32, so two halves are narrowed and joined.
#include <assay/kernel.h>
#include <immintrin.h>

namespace {

void gather_row(const float* x, const int64_t* index, float* y, int64_t picks) {
  int64_t p = 0;
  for (; p + 16 <= picks; p += 16) {
    const __m256i low = _mm512_cvtepi64_epi32(_mm512_loadu_si512(index + p));
    const __m256i high = _mm512_cvtepi64_epi32(_mm512_loadu_si512(index + p + 8));
    const __m512i offsets = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
    _mm512_storeu_ps(y + p, _mm512_i32gather_ps(offsets, x, 4));
  }
  for (; p < picks; p++) y[p] = x[index[p]];
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const float* x = assay_in<float>(call, 0);
  const int64_t* index = assay_in<int64_t>(call, 1);
  float* y = assay_out<float>(call, 0);
  const int64_t cols = call->inputs[0].shape[1];
  const int64_t rows = call->inputs[1].shape[0], picks = call->inputs[1].shape[1];
#pragma omp parallel for num_threads(call->n_threads) schedule(static)
  for (int64_t r = 0; r < rows; r++) gather_row(x + r * cols, index + r * picks, y + r * picks, picks);
  return 0;
}
