#include <assay/kernel.h>

#include <algorithm>
#include <cmath>

namespace {

constexpr float LOG2E = 1.44269504088896340736f;
constexpr int64_t BLOCK = 128;

void softmax_row(const float* __restrict x, float* __restrict y, int64_t n) {
  float top = x[0], sum = 0.0f;
  for (int64_t b = 0; b < n; b += BLOCK) {
    const int64_t end = std::min(n, b + BLOCK);
    float block_top = top;
    for (int64_t j = b; j < end; j++) block_top = std::max(block_top, x[j]);
    float block_sum = 0.0f;
    for (int64_t j = b; j < end; j++) block_sum += std::exp2((x[j] - block_top) * LOG2E);
    sum = sum * std::exp2((top - block_top) * LOG2E) + block_sum;
    top = block_top;
  }
  const float scale = 1.0f / sum;
  for (int64_t j = 0; j < n; j++) y[j] = std::exp2((x[j] - top) * LOG2E) * scale;
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const float* x = assay_in<float>(call, 0);
  float* y = assay_out<float>(call, 0);
  const int64_t rows = call->inputs[0].shape[0], cols = call->inputs[0].shape[1];
#pragma omp parallel for schedule(dynamic, 8) num_threads(call->n_threads)
  for (int64_t i = 0; i < rows; i++) softmax_row(x + i * cols, y + i * cols, cols);
  return 0;
}
