#include <assay/kernel.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <utility>

namespace {

struct Problem {
  const float* x;
  float* y;
  int64_t rows, cols;
  int threads;
};

// Normalise in the second pass over the output.
void store_then_scale(const Problem& p) {
#pragma omp parallel for schedule(static) num_threads(p.threads)
  for (int64_t i = 0; i < p.rows; i++) {
    const float* x = p.x + i * p.cols;
    float* y = p.y + i * p.cols;
    const float top = *std::max_element(x, x + p.cols);
    float sum[8] = {};
    for (int64_t j = 0; j < p.cols; j++) sum[j % 8] += y[j] = std::exp(x[j] - top);
    float total = 0.0f;
    for (float s : sum) total += s;
    for (int64_t j = 0; j < p.cols; j++) y[j] /= total;
  }
}

// Compute the exponentials twice and touch the output once.
void recompute(const Problem& p) {
#pragma omp parallel for schedule(dynamic, 4) num_threads(p.threads)
  for (int64_t i = 0; i < p.rows; i++) {
    const float* x = p.x + i * p.cols;
    float* y = p.y + i * p.cols;
    const float top = *std::max_element(x, x + p.cols);
    double sum = 0.0;
    for (int64_t j = 0; j < p.cols; j++) sum += std::exp(x[j] - top);
    const float scale = static_cast<float>(1.0 / sum);
    for (int64_t j = 0; j < p.cols; j++) y[j] = std::exp(x[j] - top) * scale;
  }
}

using Variant = void (*)(const Problem&);

double seconds(Variant variant, const Problem& p) {
  const auto start = std::chrono::steady_clock::now();
  variant(p);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  static std::map<std::pair<int64_t, int64_t>, Variant> chosen;
  const int64_t rows = call->inputs[0].shape[0], cols = call->inputs[0].shape[1];
  const Problem p{assay_in<float>(call, 0), assay_out<float>(call, 0), rows, cols, call->n_threads};
  auto found = chosen.find({rows, cols});
  if (found == chosen.end()) {
    store_then_scale(p);  // start the threads
    const Variant best = seconds(store_then_scale, p) <= seconds(recompute, p) ? store_then_scale : recompute;
    found = chosen.emplace(std::make_pair(rows, cols), best).first;
  }
  found->second(p);
  return 0;
}
