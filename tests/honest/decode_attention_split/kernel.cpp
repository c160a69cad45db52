#include <assay/kernel.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <vector>

namespace {

constexpr int64_t HEAD = 64, GROUP = 4, CHUNK = 64;

struct Part {
  float top, sum;
  float out[HEAD];
};

Part attend_chunk(std::span<const float> q, const float* keys, const float* values, int64_t count) {
  Part part = {};
  float score[CHUNK];
  for (int64_t j = 0; j < count; j++)
    score[j] = std::transform_reduce(q.begin(), q.end(), keys + j * HEAD, 0.0f) * 0.125f;
  part.top = *std::max_element(score, score + count);
  for (int64_t j = 0; j < count; j++) {
    const float p = std::exp(score[j] - part.top);
    part.sum += p;
    for (int64_t d = 0; d < HEAD; d++) part.out[d] += p * values[j * HEAD + d];
  }
  return part;
}

void merge(std::span<const Part> parts, float* out) {
  const float top = std::ranges::max(parts, {}, &Part::top).top;
  float sum = 0.0f;
  std::fill(out, out + HEAD, 0.0f);
  for (const Part& part : parts) {
    const float scale = std::exp(part.top - top);
    sum += scale * part.sum;
    for (int64_t d = 0; d < HEAD; d++) out[d] += scale * part.out[d];
  }
  for (int64_t d = 0; d < HEAD; d++) out[d] /= sum;
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const int64_t batch = call->inputs[0].shape[0], heads = call->inputs[0].shape[1];
  const int64_t kv_heads = call->inputs[1].shape[1], cached = call->inputs[1].shape[2];
  if (call->inputs[0].shape[2] != HEAD || heads != kv_heads * GROUP) return 1;
  const float *q = assay_in<float>(call, 0), *keys = assay_in<float>(call, 1), *values = assay_in<float>(call, 2);
  const int64_t* lengths = assay_in<int64_t>(call, 3);
  float* y = assay_out<float>(call, 0);
#pragma omp parallel for collapse(2) num_threads(call->n_threads)
  for (int64_t b = 0; b < batch; b++)
    for (int64_t h = 0; h < heads; h++) {
      const int64_t base = (b * kv_heads + h / GROUP) * cached * HEAD;
      const std::span<const float> query(q + (b * heads + h) * HEAD, HEAD);
      std::vector<Part> parts;
      for (int64_t j = 0; j < lengths[b]; j += CHUNK)
        parts.push_back(
            attend_chunk(query, keys + base + j * HEAD, values + base + j * HEAD, std::min(CHUNK, lengths[b] - j)));
      merge(parts, y + (b * heads + h) * HEAD);
    }
  return 0;
}
