// Running sums of rows: eight elements are scanned in a register in three shifted additions, in double, as PyTorch
// accumulates; only the carry links one block to the next.
#include <assay/kernel.h>
#include <immintrin.h>

namespace {

// Inclusive prefix sum of eight lanes.
inline __m512d scan(__m512d v) {
  const __m512i by1 = _mm512_setr_epi64(0, 0, 1, 2, 3, 4, 5, 6);
  const __m512i by2 = _mm512_setr_epi64(0, 0, 0, 1, 2, 3, 4, 5);
  const __m512i by4 = _mm512_setr_epi64(0, 0, 0, 0, 0, 1, 2, 3);
  v = _mm512_add_pd(v, _mm512_maskz_permutexvar_pd(0xFE, by1, v));
  v = _mm512_add_pd(v, _mm512_maskz_permutexvar_pd(0xFC, by2, v));
  return _mm512_add_pd(v, _mm512_maskz_permutexvar_pd(0xF0, by4, v));
}

void scan_row(const float* x, float* y, int64_t cols) {
  const __m512i last = _mm512_set1_epi64(7);
  __m512d carry = _mm512_setzero_pd();
  for (int64_t c = 0; c < cols; c += 8) {
    const int64_t left = cols - c;
    const __mmask8 mask = left >= 8 ? 0xFF : static_cast<__mmask8>((1u << left) - 1);
    const __m512d sums = scan(_mm512_cvtps_pd(_mm256_maskz_loadu_ps(mask, x + c)));
    _mm256_mask_storeu_ps(y + c, mask, _mm512_cvtpd_ps(_mm512_add_pd(sums, carry)));
    carry = _mm512_add_pd(carry, _mm512_permutexvar_pd(last, sums));
  }
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const float* x = assay_in<float>(call, 0);
  float* y = assay_out<float>(call, 0);
  const int64_t rows = call->inputs[0].shape[0], cols = call->inputs[0].shape[1];
#pragma omp parallel for num_threads(call->n_threads) schedule(static)
  for (int64_t r = 0; r < rows; r++) scan_row(x + r * cols, y + r * cols, cols);
  return 0;
}
