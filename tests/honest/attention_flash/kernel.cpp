#include <assay/kernel.h>

#include <algorithm>
#include <cmath>

namespace {

constexpr int64_t HEAD = 64, QUERIES = 8, KEYS = 32;

struct Tile {
  float q[QUERIES][HEAD];    // scaled queries
  float out[QUERIES][HEAD];  // unnormalised result
  float top[QUERIES], sum[QUERIES];
};

void absorb(Tile& t, int64_t queries, const float* k, const float* v, int64_t keys) {
  for (int64_t i = 0; i < queries; i++) {
    float score[KEYS];
    float top = t.top[i];
    for (int64_t j = 0; j < keys; j++) {
      float s = 0.0f;
#pragma omp simd reduction(+ : s)
      for (int64_t d = 0; d < HEAD; d++) s += t.q[i][d] * k[j * HEAD + d];
      score[j] = s;
      top = std::max(top, s);
    }
    const float shrink = std::exp2(t.top[i] - top);
    float sum = 0.0f;
    for (int64_t d = 0; d < HEAD; d++) t.out[i][d] *= shrink;
    for (int64_t j = 0; j < keys; j++) {
      const float p = std::exp2(score[j] - top);
      sum += p;
      for (int64_t d = 0; d < HEAD; d++) t.out[i][d] += p * v[j * HEAD + d];
    }
    t.sum[i] = t.sum[i] * shrink + sum;
    t.top[i] = top;
  }
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const assay_tensor& in = call->inputs[0];
  const int64_t heads = in.shape[0] * in.shape[1], tokens = in.shape[2];
  if (in.shape[3] != HEAD) return 1;
  const float *q = assay_in<float>(call, 0), *k = assay_in<float>(call, 1), *v = assay_in<float>(call, 2);
  float* y = assay_out<float>(call, 0);
  constexpr float SCALE = 0.125f * 1.44269504088896340736f;
#pragma omp parallel for collapse(2) num_threads(call->n_threads)
  for (int64_t h = 0; h < heads; h++)
    for (int64_t start = 0; start < tokens; start += QUERIES) {
      const int64_t queries = std::min(QUERIES, tokens - start), base = h * tokens * HEAD;
      Tile t = {};
      std::fill(t.top, t.top + QUERIES, -3.0e38f);
      for (int64_t i = 0; i < queries; i++)
        for (int64_t d = 0; d < HEAD; d++) t.q[i][d] = q[base + (start + i) * HEAD + d] * SCALE;
      for (int64_t j = 0; j < tokens; j += KEYS)
        absorb(t, queries, k + base + j * HEAD, v + base + j * HEAD, std::min(KEYS, tokens - j));
      for (int64_t i = 0; i < queries; i++)
        for (int64_t d = 0; d < HEAD; d++) y[base + (start + i) * HEAD + d] = t.out[i][d] / t.sum[i];
    }
  return 0;
}
