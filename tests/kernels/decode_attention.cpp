// One decoding step: the four queries of a group share each key and value that is read from the cache, and nothing past
// a sequence's length is read.
#include <assay/kernel.h>
#include <immintrin.h>

#include <cmath>
#include <vector>

namespace {

constexpr int64_t kHead = 64, kGroup = 4;

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

// scores[g * pitch + t] = q[g] . keys[t] / 8 for t < length.
void make_scores(const float* q, const float* keys, int64_t length, int64_t pitch, float* scores) {
  __m512 query[kGroup][4];
  for (int g = 0; g < kGroup; g++)
    for (int k = 0; k < 4; k++) query[g][k] = _mm512_loadu_ps(q + g * kHead + 16 * k);
  for (int64_t t = 0; t < length; t++) {
    __m512 key[4];
    for (int k = 0; k < 4; k++) key[k] = _mm512_loadu_ps(keys + t * kHead + 16 * k);
    for (int g = 0; g < kGroup; g++) {
      __m512 sum = _mm512_mul_ps(query[g][0], key[0]);
      for (int k = 1; k < 4; k++) sum = _mm512_fmadd_ps(query[g][k], key[k], sum);
      scores[g * pitch + t] = 0.125f * _mm512_reduce_add_ps(sum);
    }
  }
}

// Turns scores into exponentials and returns their sum.
float softmax(float* s, int64_t length) {
  __m512 top = set(-INFINITY), sum = _mm512_setzero_ps();
  for (int64_t t = 0; t < length; t += 16) {
    const __mmask16 mask = first_lanes(length - t);
    top = _mm512_mask_max_ps(top, mask, top, _mm512_maskz_loadu_ps(mask, s + t));
  }
  const __m512 shift = set(_mm512_reduce_max_ps(top));
  for (int64_t t = 0; t < length; t += 16) {
    const __mmask16 mask = first_lanes(length - t);
    const __m512 e = exp_nonpositive(_mm512_sub_ps(_mm512_maskz_loadu_ps(mask, s + t), shift));
    _mm512_mask_storeu_ps(s + t, mask, e);
    sum = _mm512_mask_add_ps(sum, mask, sum, e);
  }
  return _mm512_reduce_add_ps(sum);
}

void weigh_values(const float* s, const float* values, int64_t length, int64_t pitch, const float* total, float* y) {
  __m512 sum[kGroup][4];
  for (auto& row : sum)
    for (__m512& v : row) v = _mm512_setzero_ps();
  for (int64_t t = 0; t < length; t++) {
    __m512 value[4];
    for (int k = 0; k < 4; k++) value[k] = _mm512_loadu_ps(values + t * kHead + 16 * k);
    for (int g = 0; g < kGroup; g++)
      for (int k = 0; k < 4; k++) sum[g][k] = _mm512_fmadd_ps(set(s[g * pitch + t]), value[k], sum[g][k]);
  }
  for (int g = 0; g < kGroup; g++)
    for (int k = 0; k < 4; k++) _mm512_storeu_ps(y + g * kHead + 16 * k, _mm512_div_ps(sum[g][k], set(total[g])));
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const float* q = assay_in<float>(call, 0);
  const float* keys = assay_in<float>(call, 1);
  const float* values = assay_in<float>(call, 2);
  const int64_t* lengths = assay_in<int64_t>(call, 3);
  float* y = assay_out<float>(call, 0);
  const int64_t* shape = call->inputs[1].shape;
  const int64_t batch = shape[0], kv_heads = shape[1], cached = shape[2];
#pragma omp parallel num_threads(call->n_threads)
  {
    std::vector<float> scores(kGroup * cached);
#pragma omp for collapse(2) schedule(dynamic)
    for (int64_t b = 0; b < batch; b++) {
      for (int64_t h = 0; h < kv_heads; h++) {
        const int64_t head = b * kv_heads + h, length = lengths[b];
        make_scores(q + head * kGroup * kHead, keys + head * cached * kHead, length, cached, scores.data());
        float total[kGroup];
        for (int g = 0; g < kGroup; g++) total[g] = softmax(scores.data() + g * cached, length);
        weigh_values(scores.data(), values + head * cached * kHead, length, cached, total, y + head * kGroup * kHead);
      }
    }
  }
  return 0;
}
