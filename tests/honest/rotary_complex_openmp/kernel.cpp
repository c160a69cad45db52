#include <assay/kernel.h>
#include <immintrin.h>

namespace {

inline void put(float* to, __m512 v) {
  if (reinterpret_cast<uintptr_t>(to) % 64 == 0)
    _mm512_stream_ps(to, v);
  else
    _mm512_storeu_ps(to, v);
}

void rotate(const float* x, const float* cosine, const float* sine, int64_t half, float* y) {
  int64_t d = 0;
  for (; d + 16 <= half; d += 16) {
    const __m512 re = _mm512_loadu_ps(x + d), im = _mm512_loadu_ps(x + half + d);
    const __m512 c = _mm512_loadu_ps(cosine + d), s = _mm512_loadu_ps(sine + d);
    put(y + d, _mm512_fmsub_ps(re, c, _mm512_mul_ps(im, s)));
    put(y + half + d, _mm512_fmadd_ps(im, c, _mm512_mul_ps(re, s)));
  }
  for (; d < half; d++) {
    y[d] = x[d] * cosine[d] - x[half + d] * sine[d];
    y[half + d] = x[half + d] * cosine[d] + x[d] * sine[d];
  }
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const assay_tensor& in = call->inputs[0];
  const int64_t heads = in.shape[0] * in.shape[1], tokens = in.shape[2], head = in.shape[3], half = head / 2;
  const float *x = assay_in<float>(call, 0), *cosine = assay_in<float>(call, 1), *sine = assay_in<float>(call, 2);
  float* y = assay_out<float>(call, 0);
#pragma omp parallel num_threads(call->n_threads)
  {
#pragma omp for collapse(2) schedule(static)
    for (int64_t h = 0; h < heads; h++)
      for (int64_t t = 0; t < tokens; t++) {
        const int64_t at = (h * tokens + t) * head;
        rotate(x + at, cosine + t * half, sine + t * half, half, y + at);
      }
    _mm_sfence();
  }
  return 0;
}
