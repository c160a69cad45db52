#include <assay/kernel.h>

#include <algorithm>

extern "C" int assay_kernel(const assay_call* call) {
  const int64_t bags = call->inputs[0].shape[0], per_bag = call->inputs[0].shape[1], width = call->weights[0].shape[1];
  const int64_t* ids = assay_in<int64_t>(call, 0);
  const float *factor = assay_in<float>(call, 1), *table = assay_weight<float>(call, 0);
  float* y = assay_out<float>(call, 0);
#pragma omp parallel for schedule(static) num_threads(call->n_threads)
  for (int64_t b = 0; b < bags; b++) {
    for (int64_t i = 0; b + 1 < bags && i < per_bag; i++)
      for (int64_t j = 0; j < width; j += 16) __builtin_prefetch(table + ids[(b + 1) * per_bag + i] * width + j);
    float* out = y + b * width;
    std::fill(out, out + width, 0.0f);
    for (int64_t i = 0; i < per_bag; i++) {
      const float* row = table + ids[b * per_bag + i] * width;
      const float f = factor[b * per_bag + i];
      for (int64_t j = 0; j < width; j++) out[j] += f * row[j];
    }
  }
  return 0;
}
