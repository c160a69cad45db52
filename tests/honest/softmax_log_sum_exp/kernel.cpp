#include <assay/kernel.h>

#include <algorithm>
#include <cmath>

namespace {

// log(sum(exp(x - top))) with Kahan's compensation
float log_sum_exp(const float* first, const float* last, float top) {
  float sum = 0.0f, lost = 0.0f;
  for (; first != last; first++) {
    const float term = std::exp(*first - top) - lost;
    const float next = sum + term;
    lost = (next - sum) - term;
    sum = next;
  }
  return std::log(sum);
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const int64_t rows = call->inputs[0].shape[0], cols = call->inputs[0].shape[1];
  const float* x = assay_in<float>(call, 0);
  float* y = assay_out<float>(call, 0);
#pragma omp parallel for num_threads(call->n_threads)
  for (int64_t i = 0; i < rows; i++) {
    const float *first = x + i * cols, *last = first + cols;
    const float top = *std::max_element(first, last);
    const float log_sum = log_sum_exp(first, last, top);
    std::transform(first, last, y + i * cols, [=](float v) { return std::exp((v - top) - log_sum); });
  }
  return 0;
}
