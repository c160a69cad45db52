// Gradient of row softmax: with p = softmax(x) it is p (g - sum(g p)).
#include <assay/kernel.h>
#include <immintrin.h>

#include <cmath>

namespace {

inline __m512 set(float v) {
  return _mm512_set1_ps(v);
}

// exp(v) for v <= 0 (Cephes expf); 0 below -87, where a subnormal result would cost a microcode assist.
inline __m512 exp_nonpositive(__m512 v) {
  const __mmask16 normal = _mm512_cmp_ps_mask(v, set(-87.0f), _CMP_NLT_UQ);
  v = _mm512_max_ps(set(-87.0f), v);
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(v, set(1.44269504f)), 8);
  __m512 r = _mm512_fnmadd_ps(n, set(0.693359375f), v);
  r = _mm512_fnmadd_ps(n, set(-2.12194440e-4f), r);
  __m512 p = set(1.9875691500e-4f);
  p = _mm512_fmadd_ps(p, r, set(1.3981999507e-3f));
  p = _mm512_fmadd_ps(p, r, set(8.3334519073e-3f));
  p = _mm512_fmadd_ps(p, r, set(4.1665795894e-2f));
  p = _mm512_fmadd_ps(p, r, set(1.6666665459e-1f));
  p = _mm512_fmadd_ps(p, r, set(0.5f));
  p = _mm512_fmadd_ps(p, _mm512_mul_ps(r, r), _mm512_add_ps(r, set(1.0f)));
  return _mm512_maskz_scalef_ps(normal, p, n);
}

inline __mmask16 first_lanes(int64_t count) {
  return count >= 16 ? 0xFFFF : static_cast<__mmask16>((1u << count) - 1);
}

float row_max(const float* x, int64_t cols) {
  __m512 top = set(-INFINITY);
  for (int64_t c = 0; c < cols; c += 16) {
    const __mmask16 mask = first_lanes(cols - c);
    top = _mm512_mask_max_ps(top, mask, top, _mm512_maskz_loadu_ps(mask, x + c));
  }
  return _mm512_reduce_max_ps(top);
}

void backward_row(const float* x, const float* g, float* dx, int64_t cols) {
  const __m512 shift = set(row_max(x, cols));
  __m512 sum = _mm512_setzero_ps(), dot = _mm512_setzero_ps();
  for (int64_t c = 0; c < cols; c += 16) {
    const __mmask16 mask = first_lanes(cols - c);
    const __m512 v = _mm512_sub_ps(_mm512_maskz_loadu_ps(mask, x + c), shift);
    const __m512 e = _mm512_maskz_mov_ps(mask, exp_nonpositive(v));
    _mm512_mask_storeu_ps(dx + c, mask, e);
    sum = _mm512_add_ps(sum, e);
    dot = _mm512_fmadd_ps(e, _mm512_maskz_loadu_ps(mask, g + c), dot);
  }
  const float inverse = 1.0f / _mm512_reduce_add_ps(sum);
  const float mean = _mm512_reduce_add_ps(dot) * inverse;
#pragma omp simd
  for (int64_t c = 0; c < cols; c++) dx[c] = dx[c] * inverse * (g[c] - mean);
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const float* x = assay_in<float>(call, 0);
  const float* grad = assay_in<float>(call, 1);
  float* dx = assay_out<float>(call, 0);
  const int64_t rows = call->inputs[0].shape[0], cols = call->inputs[0].shape[1];
#pragma omp parallel for num_threads(call->n_threads) schedule(static)
  for (int64_t r = 0; r < rows; r++) backward_row(x + r * cols, grad + r * cols, dx + r * cols, cols);
  return 0;
}
