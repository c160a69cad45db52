// Cross entropy of each row against a class index: log(sum(exp(x - top))) + (top - x[target]), both terms at least 0.
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

float row_loss(const float* x, int64_t classes, int64_t target) {
  __m512 top = set(-INFINITY);
  for (int64_t c = 0; c < classes; c += 16) {
    const __mmask16 mask = first_lanes(classes - c);
    top = _mm512_mask_max_ps(top, mask, top, _mm512_maskz_loadu_ps(mask, x + c));
  }
  const float shift = _mm512_reduce_max_ps(top);
  __m512 even = _mm512_setzero_ps(), odd = _mm512_setzero_ps();
  int64_t c = 0;
  for (; c + 32 <= classes; c += 32) {
    even = _mm512_add_ps(even, exp_nonpositive(_mm512_sub_ps(_mm512_loadu_ps(x + c), set(shift))));
    odd = _mm512_add_ps(odd, exp_nonpositive(_mm512_sub_ps(_mm512_loadu_ps(x + c + 16), set(shift))));
  }
  for (; c < classes; c += 16) {
    const __mmask16 mask = first_lanes(classes - c);
    const __m512 v = _mm512_sub_ps(_mm512_maskz_loadu_ps(mask, x + c), set(shift));
    even = _mm512_mask_add_ps(even, mask, even, exp_nonpositive(v));
  }
  const float log_sum = std::log(_mm512_reduce_add_ps(_mm512_add_ps(even, odd)));
  return log_sum + (shift - x[target]);
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const float* logits = assay_in<float>(call, 0);
  const int64_t* target = assay_in<int64_t>(call, 1);
  float* loss = assay_out<float>(call, 0);
  const int64_t rows = call->inputs[0].shape[0], classes = call->inputs[0].shape[1];
#pragma omp parallel for num_threads(call->n_threads) schedule(static)
  for (int64_t r = 0; r < rows; r++) loss[r] = row_loss(logits + r * classes, classes, target[r]);
  return 0;
}
