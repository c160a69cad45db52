#include <assay/kernel.h>

#include <cmath>

namespace {

struct Moments {
  double count = 0, mean = 0, m2 = 0;

  void add(double value) {
    count += 1;
    const double delta = value - mean;
    mean += delta / count;
    m2 += delta * (value - mean);
  }
};

// Chan, Golub and LeVeque (1979), equation 2.1.
Moments merge(const Moments& a, const Moments& b) {
  if (a.count == 0) return b;
  if (b.count == 0) return a;
  const double count = a.count + b.count, delta = b.mean - a.mean;
  return {count, a.mean + delta * (b.count / count), a.m2 + b.m2 + delta * delta * (a.count * (b.count / count))};
}

Moments moments(const float* x, int64_t n) {
  Moments lanes[16];
  for (int64_t j = 0; j < n; j++) lanes[j % 16].add(x[j]);
  for (int step = 8; step > 0; step /= 2)
    for (int l = 0; l < step; l++) lanes[l] = merge(lanes[l], lanes[l + step]);
  return lanes[0];
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const int64_t rows = call->inputs[0].shape[0], cols = call->inputs[0].shape[1];
  const float* x = assay_in<float>(call, 0);
  float *mean = assay_out<float>(call, 0), *deviation = assay_out<float>(call, 1);
#pragma omp parallel for num_threads(call->n_threads)
  for (int64_t i = 0; i < rows; i++) {
    const Moments m = moments(x + i * cols, cols);
    mean[i] = static_cast<float>(m.mean);
    deviation[i] = static_cast<float>(std::sqrt(m.m2 / (m.count - 1)));
  }
  return 0;
}
