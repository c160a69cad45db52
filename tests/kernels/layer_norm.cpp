// Layer normalisation over the last dimension: mean, then centred variance, then the affine map, on a row in cache.
#include <assay/kernel.h>
#include <immintrin.h>

#include <cmath>

namespace {

constexpr float kEps = 1e-5f;  // torch.nn.LayerNorm's default

inline __mmask16 first_lanes(int64_t count) {
  return count >= 16 ? 0xFFFF : static_cast<__mmask16>((1u << count) - 1);
}

// In double: where the mean is large, the last additions would lose the most.
inline double total(const __m512 (&sum)[4]) {
  const __m512 all = _mm512_add_ps(_mm512_add_ps(sum[0], sum[1]), _mm512_add_ps(sum[2], sum[3]));
  const __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(all));
  return _mm512_reduce_add_pd(_mm512_add_pd(low, _mm512_cvtps_pd(_mm512_extractf32x8_ps(all, 1))));
}

float row_mean(const float* x, int64_t width) {
  __m512 sum[4];
  for (__m512& v : sum) v = _mm512_setzero_ps();
  int64_t c = 0;
  for (; c + 64 <= width; c += 64)
    for (int k = 0; k < 4; k++) sum[k] = _mm512_add_ps(sum[k], _mm512_loadu_ps(x + c + 16 * k));
  for (; c < width; c += 16) sum[0] = _mm512_add_ps(sum[0], _mm512_maskz_loadu_ps(first_lanes(width - c), x + c));
  return static_cast<float>(total(sum) / static_cast<double>(width));
}

float row_variance(const float* x, int64_t width, float mean) {
  const __m512 centre = _mm512_set1_ps(mean);
  __m512 sum[4];
  for (__m512& v : sum) v = _mm512_setzero_ps();
  int64_t c = 0;
  for (; c + 64 <= width; c += 64) {
    for (int k = 0; k < 4; k++) {
      const __m512 d = _mm512_sub_ps(_mm512_loadu_ps(x + c + 16 * k), centre);
      sum[k] = _mm512_fmadd_ps(d, d, sum[k]);
    }
  }
  for (; c < width; c += 16) {
    const __mmask16 mask = first_lanes(width - c);
    const __m512 d = _mm512_maskz_sub_ps(mask, _mm512_maskz_loadu_ps(mask, x + c), centre);
    sum[0] = _mm512_fmadd_ps(d, d, sum[0]);
  }
  return static_cast<float>(total(sum) / static_cast<double>(width));
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const float* x = assay_in<float>(call, 0);
  const float* weight = assay_weight<float>(call, 0);
  const float* bias = assay_weight<float>(call, 1);
  float* y = assay_out<float>(call, 0);
  const int64_t tokens = call->inputs[0].shape[0], width = call->inputs[0].shape[1];
#pragma omp parallel for num_threads(call->n_threads) schedule(static)
  for (int64_t t = 0; t < tokens; t++) {
    const float* in = x + t * width;
    float* out = y + t * width;
    const float mean = row_mean(in, width);
    const float rstd = 1.0f / std::sqrt(row_variance(in, width, mean) + kEps);
#pragma omp simd
    for (int64_t c = 0; c < width; c++) out[c] = (in[c] - mean) * rstd * weight[c] + bias[c];
  }
  return 0;
}
