// Rows over their Euclidean norm, the norm at least 1e-12. Squares are summed in double, so that neither large nor tiny
// values overflow or vanish.
#include <assay/kernel.h>
#include <immintrin.h>

#include <algorithm>
#include <cmath>

namespace {

double sum_squares(const float* x, int64_t cols) {
  __m512d even = _mm512_setzero_pd(), odd = _mm512_setzero_pd();
  int64_t c = 0;
  for (; c + 16 <= cols; c += 16) {
    const __m512d a = _mm512_cvtps_pd(_mm256_loadu_ps(x + c));
    const __m512d b = _mm512_cvtps_pd(_mm256_loadu_ps(x + c + 8));
    even = _mm512_fmadd_pd(a, a, even);
    odd = _mm512_fmadd_pd(b, b, odd);
  }
  double tail = 0.0;
  for (; c < cols; c++) tail += static_cast<double>(x[c]) * x[c];
  return tail + _mm512_reduce_add_pd(_mm512_add_pd(even, odd));
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const float* x = assay_in<float>(call, 0);
  float* y = assay_out<float>(call, 0);
  const int64_t rows = call->inputs[0].shape[0], cols = call->inputs[0].shape[1];
#pragma omp parallel for num_threads(call->n_threads) schedule(static)
  for (int64_t r = 0; r < rows; r++) {
    const float* in = x + r * cols;
    float* out = y + r * cols;
    const float norm = static_cast<float>(std::max(std::sqrt(sum_squares(in, cols)), 1e-12));
#pragma omp simd
    for (int64_t c = 0; c < cols; c++) out[c] = in[c] / norm;
  }
  return 0;
}
