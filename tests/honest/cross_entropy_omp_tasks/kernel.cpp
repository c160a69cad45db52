#include <assay/kernel.h>

#include <algorithm>
#include <cmath>

namespace {

float row_loss(const float* logits, int64_t classes, int64_t wanted) {
  const float top = *std::max_element(logits, logits + classes);
  float sum[16] = {};
  for (int64_t j = 0; j < classes; j++) sum[j % 16] += std::exp(logits[j] - top);
  float total = 0.0f;
  for (float s : sum) total += s;
  return std::log(total) - (logits[wanted] - top);
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const int64_t rows = call->inputs[0].shape[0], classes = call->inputs[0].shape[1];
  const float* logits = assay_in<float>(call, 0);
  const int64_t* target = assay_in<int64_t>(call, 1);
  float* loss = assay_out<float>(call, 0);
#pragma omp parallel num_threads(call->n_threads)
#pragma omp single
  for (int64_t start = 0; start < rows; start += 64) {
#pragma omp task firstprivate(start)
    for (int64_t i = start; i < std::min(rows, start + 64); i++)
      loss[i] = row_loss(logits + i * classes, classes, target[i]);
  }
  return 0;
}
