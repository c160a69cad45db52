// Causal attention for heads of 64: keys are transposed once per head; then four queries at a time make their scores,
// a softmax over the keys up to the query's own, and the weighted sum of the values, all within the cache.
#include <assay/kernel.h>
#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace {

constexpr int64_t kHead = 64, kQueries = 4;

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

// Scores of four queries with keys 0 .. count - 1; `keys` is 64 rows of `pitch`.
void make_scores(const float* q, const float* keys, int64_t pitch, int64_t rows, int64_t count, float* scores) {
  for (int64_t t = 0; t < count; t += 16) {
    __m512 sum[kQueries];
    for (__m512& v : sum) v = _mm512_setzero_ps();
    for (int64_t d = 0; d < kHead; d++) {
      const __m512 k = _mm512_loadu_ps(keys + d * pitch + t);
      for (int64_t i = 0; i < kQueries; i++)
        sum[i] = _mm512_fmadd_ps(set(q[std::min(i, rows - 1) * kHead + d]), k, sum[i]);
    }
    for (int64_t i = 0; i < kQueries; i++) _mm512_storeu_ps(scores + i * pitch + t, _mm512_mul_ps(sum[i], set(0.125f)));
  }
}

// Turns the first `count` scores into weights that are yet to be divided by the sum, which is returned.
float softmax(float* s, int64_t count) {
  __m512 top = set(-INFINITY), sum = _mm512_setzero_ps();
  for (int64_t t = 0; t < count; t += 16) {
    const __mmask16 mask = first_lanes(count - t);
    top = _mm512_mask_max_ps(top, mask, top, _mm512_loadu_ps(s + t));
  }
  const __m512 shift = set(_mm512_reduce_max_ps(top));
  for (int64_t t = 0; t < count; t += 16) {
    const __mmask16 mask = first_lanes(count - t);
    const __m512 e = _mm512_maskz_mov_ps(mask, exp_nonpositive(_mm512_sub_ps(_mm512_loadu_ps(s + t), shift)));
    _mm512_storeu_ps(s + t, e);
    sum = _mm512_add_ps(sum, e);
  }
  return _mm512_reduce_add_ps(sum);
}

void weigh_values(const float* s, const float* values, int64_t count, float total, float* y) {
  __m512 sum[4];
  for (__m512& v : sum) v = _mm512_setzero_ps();
  for (int64_t t = 0; t < count; t++)
    for (int k = 0; k < 4; k++)
      sum[k] = _mm512_fmadd_ps(set(s[t]), _mm512_loadu_ps(values + t * kHead + 16 * k), sum[k]);
  for (int k = 0; k < 4; k++) _mm512_storeu_ps(y + 16 * k, _mm512_div_ps(sum[k], set(total)));
}

void transpose_keys(const float* k, int64_t tokens, int64_t pitch, float* keys) {
  for (int64_t d = 0; d < kHead; d++) {
    for (int64_t t = 0; t < pitch; t++) keys[d * pitch + t] = t < tokens ? k[t * kHead + d] : 0.0f;
  }
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const float* q = assay_in<float>(call, 0);
  const float* k = assay_in<float>(call, 1);
  const float* v = assay_in<float>(call, 2);
  float* y = assay_out<float>(call, 0);
  const int64_t heads = call->inputs[0].shape[0] * call->inputs[0].shape[1], tokens = call->inputs[0].shape[2];
  const int64_t pitch = (tokens + 15) / 16 * 16;
  std::vector<float> keys(heads * kHead * pitch);
#pragma omp parallel num_threads(call->n_threads)
  {
    std::vector<float> scores(kQueries * pitch);
#pragma omp for schedule(static)
    for (int64_t h = 0; h < heads; h++)
      transpose_keys(k + h * tokens * kHead, tokens, pitch, keys.data() + h * kHead * pitch);
#pragma omp for collapse(2) schedule(dynamic, 4)
    for (int64_t h = 0; h < heads; h++) {
      for (int64_t first = 0; first < tokens; first += kQueries) {
        const int64_t rows = std::min(kQueries, tokens - first);
        const int64_t token = h * tokens + first;
        make_scores(q + token * kHead, keys.data() + h * kHead * pitch, pitch, rows, first + rows, scores.data());
        for (int64_t i = 0; i < rows; i++) {
          float* s = scores.data() + i * pitch;
          const float total = softmax(s, first + i + 1);
          weigh_values(s, v + h * tokens * kHead, first + i + 1, total, y + (token + i) * kHead);
        }
      }
    }
  }
  return 0;
}
