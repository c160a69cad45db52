#include <assay/kernel.h>
#include <immintrin.h>

namespace {

constexpr int64_t LANES = 16;

inline float rsqrt_newton(float v) {
  if (!(v < 3.0e38f)) return 0.0f;  // the square overflowed, as it does in the reference
  const float r = _mm_cvtss_f32(_mm_rsqrt14_ss(_mm_setzero_ps(), _mm_set_ss(v)));
  return r * (1.5f - (0.5f * v) * r * r);
}

void row(const float* x, const float* weight, float* y, int64_t width) {
  __m512 s0 = _mm512_setzero_ps(), s1 = s0;
  int64_t j = 0;
  for (; j + 2 * LANES <= width; j += 2 * LANES) {
    const __m512 a = _mm512_loadu_ps(x + j), b = _mm512_loadu_ps(x + j + LANES);
    s0 = _mm512_fmadd_ps(a, a, s0);
    s1 = _mm512_fmadd_ps(b, b, s1);
  }
  float sum = _mm512_reduce_add_ps(_mm512_add_ps(s0, s1));
  for (int64_t k = j; k < width; k++) sum += x[k] * x[k];
  const float r = rsqrt_newton(sum / static_cast<float>(width) + 1e-6f);
  const __m512 rr = _mm512_set1_ps(r);
  for (j = 0; j + LANES <= width; j += LANES)
    _mm512_storeu_ps(y + j, _mm512_mul_ps(_mm512_mul_ps(_mm512_loadu_ps(x + j), rr), _mm512_loadu_ps(weight + j)));
  for (; j < width; j++) y[j] = x[j] * r * weight[j];
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const int64_t tokens = call->inputs[0].shape[0], width = call->inputs[0].shape[1];
  const float *x = assay_in<float>(call, 0), *weight = assay_weight<float>(call, 0);
  float* y = assay_out<float>(call, 0);
#pragma omp parallel for schedule(static) num_threads(call->n_threads)
  for (int64_t i = 0; i < tokens; i++) row(x + i * width, weight, y + i * width, width);
  return 0;
}
