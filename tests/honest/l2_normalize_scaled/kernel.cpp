#include <assay/kernel.h>

#include <algorithm>
#include <cmath>

extern "C" int assay_kernel(const assay_call* call) {
  const int64_t rows = call->inputs[0].shape[0], cols = call->inputs[0].shape[1];
  const float* x = assay_in<float>(call, 0);
  float* y = assay_out<float>(call, 0);
#pragma omp parallel for num_threads(call->n_threads)
  for (int64_t i = 0; i < rows; i++) {
    const float* a = x + i * cols;
    float largest = 0.0f;
    for (int64_t j = 0; j < cols; j++) largest = std::max(largest, std::fabs(a[j]));
    double sum = 0.0;
    for (int64_t j = 0; largest > 0.0f && j < cols; j++) {
      const double v = static_cast<double>(a[j]) / largest;
      sum += v * v;
    }
    const double norm = std::max(largest * std::sqrt(sum), 1e-12);  // torch's lower bound
    for (int64_t j = 0; j < cols; j++) y[i * cols + j] = static_cast<float>(a[j] / norm);
  }
  return 0;
}
