#include <assay/kernel.h>

#include <algorithm>
#include <cmath>
#include <vector>

#ifndef SLICES
#define SLICES 4
#endif

namespace {

struct Row {
  const float *x, *grad, *weight;
  float *of_x, *of_weight, *of_bias;  // the last two are added to
};

void backward_row(const Row& r, int64_t n) {
  double sum = 0.0, squares = 0.0;
  for (int64_t j = 0; j < n; j++) sum += r.x[j];
  const float mean = static_cast<float>(sum / n);
  for (int64_t j = 0; j < n; j++) squares += (r.x[j] - mean) * (r.x[j] - mean);
  const float rstd = static_cast<float>(1.0 / std::sqrt(squares / n + 1e-5));
  double of_mean = 0.0, of_normal = 0.0;
  for (int64_t j = 0; j < n; j++) {
    const float normal = (r.x[j] - mean) * rstd, g = r.grad[j] * r.weight[j];
    of_mean += g;
    of_normal += g * normal;
    r.of_weight[j] += r.grad[j] * normal;
    r.of_bias[j] += r.grad[j];
  }
  const float a = static_cast<float>(of_mean / n), b = static_cast<float>(of_normal / n);
  for (int64_t j = 0; j < n; j++) {
    const float normal = (r.x[j] - mean) * rstd;
    r.of_x[j] = rstd * (r.grad[j] * r.weight[j] - a - normal * b);
  }
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const int64_t tokens = call->inputs[0].shape[0], n = call->inputs[0].shape[1];
  const float *x = assay_in<float>(call, 0), *grad = assay_in<float>(call, 1), *weight = assay_weight<float>(call, 0);
  float *of_x = assay_out<float>(call, 0), *of_weight = assay_out<float>(call, 1), *of_bias = assay_out<float>(call, 2);
  static std::vector<float> partial;
  partial.assign(2 * SLICES * n, 0.0f);
#pragma omp parallel for schedule(static, 1) num_threads(call->n_threads)
  for (int64_t s = 0; s < SLICES; s++) {
    float* mine = partial.data() + 2 * s * n;
    for (int64_t i = tokens * s / SLICES; i < tokens * (s + 1) / SLICES; i++)
      backward_row({x + i * n, grad + i * n, weight, of_x + i * n, mine, mine + n}, n);
  }
  for (int64_t j = 0; j < n; j++) {
    float w = 0.0f, b = 0.0f;
    for (int64_t s = 0; s < SLICES; s++) {
      w += partial[2 * s * n + j];
      b += partial[2 * s * n + n + j];
    }
    of_weight[j] = w;
    of_bias[j] = b;
  }
  return 0;
}
