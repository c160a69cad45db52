// What is left to come: suffix sums that exclude the position itself, eight lanes at a time from the end, in double.
#include <assay/kernel.h>
#include <immintrin.h>

namespace {

// Inclusive suffix sum of eight lanes: lane i becomes v[i] + ... + v[7].
inline __m512d suffix(__m512d v) {
  const __m512i by1 = _mm512_setr_epi64(1, 2, 3, 4, 5, 6, 7, 7);
  const __m512i by2 = _mm512_setr_epi64(2, 3, 4, 5, 6, 7, 7, 7);
  const __m512i by4 = _mm512_setr_epi64(4, 5, 6, 7, 7, 7, 7, 7);
  v = _mm512_add_pd(v, _mm512_maskz_permutexvar_pd(0x7F, by1, v));
  v = _mm512_add_pd(v, _mm512_maskz_permutexvar_pd(0x3F, by2, v));
  return _mm512_add_pd(v, _mm512_maskz_permutexvar_pd(0x0F, by4, v));
}

void scan_row(const float* x, float* y, int64_t cols) {
  const __m512i by1 = _mm512_setr_epi64(1, 2, 3, 4, 5, 6, 7, 7);
  const __m512i first = _mm512_setzero_si512();
  __m512d carry = _mm512_setzero_pd();
  int64_t end = cols;
  for (; end > 0; end -= 8) {
    const int64_t start = end >= 8 ? end - 8 : 0;
    const __mmask8 mask = static_cast<__mmask8>((1u << (end - start)) - 1);
    const __m512d sums = suffix(_mm512_cvtps_pd(_mm256_maskz_loadu_ps(mask, x + start)));
    const __m512d after = _mm512_maskz_permutexvar_pd(0x7F, by1, sums);
    _mm256_mask_storeu_ps(y + start, mask, _mm512_cvtpd_ps(_mm512_add_pd(after, carry)));
    carry = _mm512_add_pd(carry, _mm512_permutexvar_pd(first, sums));
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
