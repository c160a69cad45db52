// Gradients of layer normalisation. With n = (x - mean) rstd and h = g w, the input's is
// rstd (h - mean(h) - n mean(h n)), the weight's sum(g n) and the bias's sum(g) over the tokens. The two sums are kept
// per chunk of 32 tokens and added up in order, so that the number of threads does not matter.
#include <assay/kernel.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace {

constexpr float kEps = 1e-5f;  // torch.nn.LayerNorm's default
constexpr int64_t kChunk = 32;

struct Row {
  float mean, rstd;
};

Row statistics(const float* x, int64_t width) {
  double sum = 0.0;
#pragma omp simd reduction(+ : sum)
  for (int64_t c = 0; c < width; c++) sum += x[c];
  const float mean = static_cast<float>(sum / static_cast<double>(width));
  float squares = 0.0f;
#pragma omp simd reduction(+ : squares)
  for (int64_t c = 0; c < width; c++) squares += (x[c] - mean) * (x[c] - mean);
  return {mean, 1.0f / std::sqrt(squares / static_cast<float>(width) + kEps)};
}

void backward_row(const float* x, const float* g, const float* weight, int64_t width, float* dx, float* dw, float* db) {
  const Row row = statistics(x, width);
  float sum_h = 0.0f, sum_hn = 0.0f;
#pragma omp simd reduction(+ : sum_h, sum_hn)
  for (int64_t c = 0; c < width; c++) {
    const float n = (x[c] - row.mean) * row.rstd, h = g[c] * weight[c];
    sum_h += h;
    sum_hn += h * n;
    dw[c] += g[c] * n;
    db[c] += g[c];
  }
  const float mean_h = sum_h / static_cast<float>(width), mean_hn = sum_hn / static_cast<float>(width);
#pragma omp simd
  for (int64_t c = 0; c < width; c++) {
    const float n = (x[c] - row.mean) * row.rstd;
    dx[c] = row.rstd * (g[c] * weight[c] - mean_h - n * mean_hn);
  }
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const float* x = assay_in<float>(call, 0);
  const float* grad = assay_in<float>(call, 1);
  const float* weight = assay_weight<float>(call, 0);
  float* dx = assay_out<float>(call, 0);
  float* dw = assay_out<float>(call, 1);
  float* db = assay_out<float>(call, 2);
  const int64_t tokens = call->inputs[0].shape[0], width = call->inputs[0].shape[1];
  const int64_t chunks = (tokens + kChunk - 1) / kChunk;
  static std::vector<float> partial;  // of each chunk: the weight's sums, then the bias's
  partial.assign(chunks * 2 * width, 0.0f);
#pragma omp parallel for num_threads(call->n_threads) schedule(static)
  for (int64_t chunk = 0; chunk < chunks; chunk++) {
    float* sums = partial.data() + chunk * 2 * width;
    for (int64_t t = chunk * kChunk; t < std::min((chunk + 1) * kChunk, tokens); t++)
      backward_row(x + t * width, grad + t * width, weight, width, dx + t * width, sums, sums + width);
  }
  std::fill(dw, dw + width, 0.0f);
  std::fill(db, db + width, 0.0f);
  for (int64_t chunk = 0; chunk < chunks; chunk++) {
    const float* sums = partial.data() + chunk * 2 * width;
#pragma omp simd
    for (int64_t c = 0; c < width; c++) {
      dw[c] += sums[c];
      db[c] += sums[width + c];
    }
  }
  return 0;
}
