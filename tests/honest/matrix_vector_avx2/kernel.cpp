#include <assay/kernel.h>
#include <immintrin.h>

namespace {

inline float sum8(__m256 v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

float dot(const float* a, const float* x, int64_t n) {
  __m256 s0 = _mm256_setzero_ps(), s1 = s0;
  int64_t j = 0;
  for (; j + 16 <= n; j += 16) {
    _mm_prefetch(reinterpret_cast<const char*>(a + j + 256), _MM_HINT_T0);
    s0 = _mm256_fmadd_ps(_mm256_loadu_ps(a + j), _mm256_loadu_ps(x + j), s0);
    s1 = _mm256_fmadd_ps(_mm256_loadu_ps(a + j + 8), _mm256_loadu_ps(x + j + 8), s1);
  }
  float sum = sum8(_mm256_add_ps(s0, s1));
  for (; j < n; j++) sum += a[j] * x[j];
  return sum;
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const int64_t rows = call->inputs[0].shape[0], cols = call->inputs[0].shape[1];
  const float *a = assay_in<float>(call, 0), *x = assay_in<float>(call, 1);
  float* y = assay_out<float>(call, 0);
#pragma omp parallel for schedule(static) num_threads(call->n_threads)
  for (int64_t i = 0; i < rows; i++) y[i] = dot(a + i * cols, x, cols);
  return 0;
}
