// Rotary position embedding for heads of 64: channel i and channel i + 32 turn by the angle of token and i.
#include <assay/kernel.h>
#include <immintrin.h>

namespace {

constexpr int64_t kHalf = 32;

inline void rotate(const float* x, const float* cosine, const float* sine, float* y) {
  for (int64_t i = 0; i < kHalf; i += 16) {
    const __m512 first = _mm512_loadu_ps(x + i), second = _mm512_loadu_ps(x + kHalf + i);
    const __m512 c = _mm512_loadu_ps(cosine + i), s = _mm512_loadu_ps(sine + i);
    _mm512_storeu_ps(y + i, _mm512_fmsub_ps(first, c, _mm512_mul_ps(second, s)));
    _mm512_storeu_ps(y + kHalf + i, _mm512_fmadd_ps(second, c, _mm512_mul_ps(first, s)));
  }
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const float* x = assay_in<float>(call, 0);
  const float* cosine = assay_in<float>(call, 1);
  const float* sine = assay_in<float>(call, 2);
  float* y = assay_out<float>(call, 0);
  const int64_t* shape = call->inputs[0].shape;
  const int64_t heads = shape[0] * shape[1], tokens = shape[2];
#pragma omp parallel for collapse(2) num_threads(call->n_threads) schedule(static)
  for (int64_t h = 0; h < heads; h++) {
    for (int64_t t = 0; t < tokens; t++) {
      const int64_t at = (h * tokens + t) * 2 * kHalf;
      rotate(x + at, cosine + t * kHalf, sine + t * kHalf, y + at);
    }
  }
  return 0;
}
