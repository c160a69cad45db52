#include <assay/kernel.h>

#include <algorithm>
#include <cmath>

#include "pool.h"

namespace {

void softmax_row(const float* x, float* y, int64_t n) {
  const float biggest = *std::max_element(x, x + n);
  double sum = 0.0;
  for (int64_t j = 0; j < n; j++) {
    y[j] = std::exp(x[j] - biggest);
    sum += y[j];
  }
  const float scale = static_cast<float>(1.0 / sum);
  for (int64_t j = 0; j < n; j++) y[j] *= scale;
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const float* x = assay_in<float>(call, 0);
  float* y = assay_out<float>(call, 0);
  const int64_t rows = call->inputs[0].shape[0];
  const int64_t cols = call->inputs[0].shape[1];
  Pool& pool = Pool::get(call->n_threads);
  const int64_t parts = pool.size();
  pool.run([&](int64_t part) {
    for (int64_t i = rows * part / parts; i < rows * (part + 1) / parts; i++)
      softmax_row(x + i * cols, y + i * cols, cols);
  });
  return 0;
}
