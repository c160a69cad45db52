// Softmax with a temperature and a mask: masked logits become -infinity, whose exponential is 0.
#include <assay/kernel.h>
#include <immintrin.h>

#include <cmath>

namespace {

// exp(v) for v <= 0 (Cephes expf); 0 below -87, where a subnormal result would cost a microcode assist.
inline __m512 exp_nonpositive(__m512 v) {
  const __mmask16 normal = _mm512_cmp_ps_mask(v, _mm512_set1_ps(-87.0f), _CMP_NLT_UQ);
  v = _mm512_max_ps(_mm512_set1_ps(-87.0f), v);
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(v, _mm512_set1_ps(1.44269504f)), 8);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), v);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
  __m512 p = _mm512_set1_ps(1.9875691500e-4f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.3981999507e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.3334519073e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1665795894e-2f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666665459e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
  p = _mm512_fmadd_ps(p, _mm512_mul_ps(r, r), _mm512_add_ps(r, _mm512_set1_ps(1.0f)));
  return _mm512_maskz_scalef_ps(normal, p, n);
}

inline __mmask16 first_lanes(int64_t count) {
  return count >= 16 ? 0xFFFF : static_cast<__mmask16>((1u << count) - 1);
}

// Sixteen logits over the temperature; -infinity where masked or past the end.
inline __m512 load_logits(const float* x, const uint8_t* keep, int64_t left, __m512 temperature) {
  const __mmask16 inside = first_lanes(left);
  const __m128i bytes = _mm_maskz_loadu_epi8(inside, keep);
  const __mmask16 kept = _mm_test_epi8_mask(bytes, bytes);
  const __m512 scaled = _mm512_div_ps(_mm512_maskz_loadu_ps(inside, x), temperature);
  return _mm512_mask_blend_ps(kept, _mm512_set1_ps(-INFINITY), scaled);
}

void softmax_row(const float* x, const uint8_t* keep, float* y, int64_t cols, __m512 temperature) {
  __m512 top = _mm512_set1_ps(-INFINITY);
  for (int64_t c = 0; c < cols; c += 16) {
    const __m512 v = load_logits(x + c, keep + c, cols - c, temperature);
    _mm512_mask_storeu_ps(y + c, first_lanes(cols - c), v);
    top = _mm512_max_ps(top, v);
  }
  const __m512 shift = _mm512_set1_ps(_mm512_reduce_max_ps(top));
  __m512 sum = _mm512_setzero_ps();
  for (int64_t c = 0; c < cols; c += 16) {
    const __mmask16 inside = first_lanes(cols - c);
    const __m512 e = exp_nonpositive(_mm512_sub_ps(_mm512_maskz_loadu_ps(inside, y + c), shift));
    _mm512_mask_storeu_ps(y + c, inside, e);
    sum = _mm512_mask_add_ps(sum, inside, sum, e);
  }
  const float factor = 1.0f / _mm512_reduce_add_ps(sum);
#pragma omp simd
  for (int64_t c = 0; c < cols; c++) y[c] *= factor;
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const float* x = assay_in<float>(call, 0);
  const uint8_t* keep = assay_in<uint8_t>(call, 1);
  float* y = assay_out<float>(call, 0);
  const int64_t rows = call->inputs[0].shape[0], cols = call->inputs[0].shape[1];
  const __m512 temperature = _mm512_set1_ps(static_cast<float>(call->scalars[0]));
#pragma omp parallel for num_threads(call->n_threads) schedule(static)
  for (int64_t r = 0; r < rows; r++) softmax_row(x + r * cols, keep + r * cols, y + r * cols, cols, temperature);
  return 0;
}
