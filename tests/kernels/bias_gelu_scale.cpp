// residual + scale * gelu_tanh(x + bias). 0.5 v (1 + tanh u) is v / (1 + exp(-2u)), which does not cancel.
#include <assay/kernel.h>
#include <immintrin.h>

namespace {

inline __m512 set(float v) {
  return _mm512_set1_ps(v);
}

// exp(v) (Cephes expf); infinity above 89, and 0 below -87, where a subnormal would cost a microcode assist.
inline __m512 exp_any(__m512 v) {
  const __mmask16 normal = _mm512_cmp_ps_mask(v, set(-87.0f), _CMP_NLT_UQ);
  v = _mm512_min_ps(set(126.0f), _mm512_max_ps(set(-87.0f), v));
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

inline __m512 gelu_tanh(__m512 v) {
  const __m512 cube = _mm512_mul_ps(_mm512_mul_ps(v, v), v);
  const __m512 inner = _mm512_fmadd_ps(set(0.044715f), cube, v);
  const __m512 minus_2u = _mm512_mul_ps(set(-1.5957691216f), inner);  // -2 sqrt(2 / pi)
  return _mm512_div_ps(v, _mm512_add_ps(set(1.0f), exp_any(minus_2u)));
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const float* x = assay_in<float>(call, 0);
  const float* residual = assay_in<float>(call, 1);
  const float* bias = assay_weight<float>(call, 0);
  const float* scale = assay_weight<float>(call, 1);
  float* y = assay_out<float>(call, 0);
  const int64_t tokens = call->inputs[0].shape[0], width = call->inputs[0].shape[1];
#pragma omp parallel for num_threads(call->n_threads) schedule(static)
  for (int64_t t = 0; t < tokens; t++) {
    const int64_t row = t * width;
    for (int64_t c = 0; c < width; c += 16) {
      const __mmask16 mask = width - c >= 16 ? 0xFFFF : static_cast<__mmask16>((1u << (width - c)) - 1);
      const __m512 v = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, x + row + c), _mm512_maskz_loadu_ps(mask, bias + c));
      const __m512 out = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, scale + c), gelu_tanh(v),
                                         _mm512_maskz_loadu_ps(mask, residual + row + c));
      _mm512_mask_storeu_ps(y + row + c, mask, out);
    }
  }
  return 0;
}
