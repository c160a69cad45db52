// Huber loss with threshold 1, summed over each row: with a = |x - y| and m = min(a, 1) it is m (a - m / 2).
#include <assay/kernel.h>
#include <immintrin.h>

namespace {

inline __m512 huber(__m512 prediction, __m512 target) {
  const __m512 one = _mm512_set1_ps(1.0f), half = _mm512_set1_ps(0.5f);
  const __m512 a = _mm512_abs_ps(_mm512_sub_ps(prediction, target));
  const __m512 m = _mm512_min_ps(a, one);
  return _mm512_mul_ps(m, _mm512_fnmadd_ps(half, m, a));
}

float row_loss(const float* x, const float* y, int64_t cols) {
  __m512 even = _mm512_setzero_ps(), odd = _mm512_setzero_ps();
  int64_t c = 0;
  for (; c + 32 <= cols; c += 32) {
    even = _mm512_add_ps(even, huber(_mm512_loadu_ps(x + c), _mm512_loadu_ps(y + c)));
    odd = _mm512_add_ps(odd, huber(_mm512_loadu_ps(x + c + 16), _mm512_loadu_ps(y + c + 16)));
  }
  for (; c < cols; c += 16) {
    const int64_t left = cols - c;
    const __mmask16 mask = left >= 16 ? 0xFFFF : static_cast<__mmask16>((1u << left) - 1);
    even = _mm512_add_ps(even, huber(_mm512_maskz_loadu_ps(mask, x + c), _mm512_maskz_loadu_ps(mask, y + c)));
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(even, odd));
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const float* prediction = assay_in<float>(call, 0);
  const float* target = assay_in<float>(call, 1);
  float* loss = assay_out<float>(call, 0);
  const int64_t rows = call->inputs[0].shape[0], cols = call->inputs[0].shape[1];
#pragma omp parallel for num_threads(call->n_threads) schedule(static)
  for (int64_t r = 0; r < rows; r++) loss[r] = row_loss(prediction + r * cols, target + r * cols, cols);
  return 0;
}
