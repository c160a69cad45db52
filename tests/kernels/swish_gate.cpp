// silu(gate) * value, where gate and value are the halves of each row.
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

inline __m512 silu(__m512 v) {
  const __m512 decay = exp_any(_mm512_sub_ps(_mm512_setzero_ps(), v));
  return _mm512_div_ps(v, _mm512_add_ps(set(1.0f), decay));
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const float* x = assay_in<float>(call, 0);
  float* y = assay_out<float>(call, 0);
  const int64_t tokens = call->inputs[0].shape[0], width = call->inputs[0].shape[1] / 2;
#pragma omp parallel for num_threads(call->n_threads) schedule(static)
  for (int64_t t = 0; t < tokens; t++) {
    const float* gate = x + t * 2 * width;
    const float* value = gate + width;
    float* out = y + t * width;
    for (int64_t c = 0; c < width; c += 16) {
      const int64_t left = width - c;
      const __mmask16 mask = left >= 16 ? 0xFFFF : static_cast<__mmask16>((1u << left) - 1);
      const __m512 g = silu(_mm512_maskz_loadu_ps(mask, gate + c));
      _mm512_mask_storeu_ps(out + c, mask, _mm512_mul_ps(g, _mm512_maskz_loadu_ps(mask, value + c)));
    }
  }
  return 0;
}
