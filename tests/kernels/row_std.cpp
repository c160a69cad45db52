// Mean and unbiased standard deviation of each row, in two passes over a row that stays in cache.
#include <assay/kernel.h>
#include <immintrin.h>

#include <cmath>

namespace {

inline __mmask16 first_lanes(int64_t count) {
  return count >= 16 ? 0xFFFF : static_cast<__mmask16>((1u << count) - 1);
}

float row_sum(const float* x, int64_t cols) {
  __m512 sum[4];
  for (__m512& v : sum) v = _mm512_setzero_ps();
  int64_t c = 0;
  for (; c + 64 <= cols; c += 64)
    for (int k = 0; k < 4; k++) sum[k] = _mm512_add_ps(sum[k], _mm512_loadu_ps(x + c + 16 * k));
  for (; c < cols; c += 16) sum[0] = _mm512_add_ps(sum[0], _mm512_maskz_loadu_ps(first_lanes(cols - c), x + c));
  return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(sum[0], sum[1]), _mm512_add_ps(sum[2], sum[3])));
}

// Sum of (x - mean)^2.
float row_squares(const float* x, int64_t cols, float mean) {
  const __m512 centre = _mm512_set1_ps(mean);
  __m512 sum[4];
  for (__m512& v : sum) v = _mm512_setzero_ps();
  int64_t c = 0;
  for (; c + 64 <= cols; c += 64) {
    for (int k = 0; k < 4; k++) {
      const __m512 d = _mm512_sub_ps(_mm512_loadu_ps(x + c + 16 * k), centre);
      sum[k] = _mm512_fmadd_ps(d, d, sum[k]);
    }
  }
  for (; c < cols; c += 16) {
    const __mmask16 mask = first_lanes(cols - c);
    const __m512 d = _mm512_maskz_sub_ps(mask, _mm512_maskz_loadu_ps(mask, x + c), centre);
    sum[1] = _mm512_fmadd_ps(d, d, sum[1]);
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(sum[0], sum[1]), _mm512_add_ps(sum[2], sum[3])));
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const float* x = assay_in<float>(call, 0);
  float* mean_out = assay_out<float>(call, 0);
  float* std_out = assay_out<float>(call, 1);
  const int64_t rows = call->inputs[0].shape[0], cols = call->inputs[0].shape[1];
#pragma omp parallel for num_threads(call->n_threads) schedule(static)
  for (int64_t r = 0; r < rows; r++) {
    const float* row = x + r * cols;
    const float mean = row_sum(row, cols) / static_cast<float>(cols);
    const float squares = row_squares(row, cols, mean);
    mean_out[r] = mean;
    std_out[r] = std::sqrt(squares / static_cast<float>(cols - 1));
  }
  return 0;
}
