// Group normalisation, 8 groups: a group's channels are contiguous, so its statistics are those of one long row.
#include <assay/kernel.h>
#include <immintrin.h>

#include <algorithm>
#include <cmath>

namespace {

constexpr int64_t kGroups = 8;
constexpr float kEps = 1e-5f;  // torch.nn.GroupNorm's default

inline __mmask16 first_lanes(int64_t count) {
  return count >= 16 ? 0xFFFF : static_cast<__mmask16>((1u << count) - 1);
}

// Mean of (x - centre)^power. Blocks of 4096 are summed in float and added up in double: a group may have 32,768
// values, and the rounding of equal values all goes one way.
template <int power>
float mean_power(const float* x, int64_t n, float centre) {
  const __m512 shift = _mm512_set1_ps(centre);
  double total = 0.0;
  for (int64_t start = 0; start < n; start += 4096) {
    const int64_t end = std::min<int64_t>(start + 4096, n);
    __m512 sum[4];
    for (__m512& v : sum) v = _mm512_setzero_ps();
    int64_t i = start;
    for (; i + 64 <= end; i += 64) {
      for (int k = 0; k < 4; k++) {
        const __m512 d = _mm512_sub_ps(_mm512_loadu_ps(x + i + 16 * k), shift);
        sum[k] = power == 1 ? _mm512_add_ps(sum[k], d) : _mm512_fmadd_ps(d, d, sum[k]);
      }
    }
    for (; i < end; i += 16) {
      const __mmask16 mask = first_lanes(end - i);
      const __m512 d = _mm512_maskz_sub_ps(mask, _mm512_maskz_loadu_ps(mask, x + i), shift);
      sum[0] = power == 1 ? _mm512_add_ps(sum[0], d) : _mm512_fmadd_ps(d, d, sum[0]);
    }
    total += _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(sum[0], sum[1]), _mm512_add_ps(sum[2], sum[3])));
  }
  return static_cast<float>(total / static_cast<double>(n));
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const float* x = assay_in<float>(call, 0);
  const float* weight = assay_weight<float>(call, 0);
  const float* bias = assay_weight<float>(call, 1);
  float* y = assay_out<float>(call, 0);
  const int64_t* shape = call->inputs[0].shape;
  const int64_t batch = shape[0], channels = shape[1], pixels = shape[2] * shape[3];
  const int64_t per_group = channels / kGroups;
#pragma omp parallel for collapse(2) num_threads(call->n_threads) schedule(static)
  for (int64_t b = 0; b < batch; b++) {
    for (int64_t g = 0; g < kGroups; g++) {
      const int64_t first = b * channels + g * per_group;
      const float* in = x + first * pixels;
      const float mean = mean_power<1>(in, per_group * pixels, 0.0f);
      const float rstd = 1.0f / std::sqrt(mean_power<2>(in, per_group * pixels, mean) + kEps);
      for (int64_t k = 0; k < per_group; k++) {
        const int64_t c = g * per_group + k;
        const float scale = rstd * weight[c], shift = bias[c];
        const float* plane = in + k * pixels;
        float* out = y + (first + k) * pixels;
#pragma omp simd
        for (int64_t p = 0; p < pixels; p++) out[p] = (plane[p] - mean) * scale + shift;
      }
    }
  }
  return 0;
}
