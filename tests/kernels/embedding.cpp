// Token rows times sqrt(width), plus a learnt position.
#include <assay/kernel.h>

#include <cmath>

extern "C" int assay_kernel(const assay_call* call) {
  const int64_t* ids = assay_in<int64_t>(call, 0);
  const float* position = assay_weight<float>(call, 0);
  const float* table = assay_weight<float>(call, 1);
  float* y = assay_out<float>(call, 0);
  const int64_t batch = call->inputs[0].shape[0], tokens = call->inputs[0].shape[1];
  const int64_t width = call->weights[1].shape[1];
  const float scale = std::sqrt(static_cast<float>(width));
#pragma omp parallel for num_threads(call->n_threads) schedule(static)
  for (int64_t i = 0; i < batch * tokens; i++) {
    const float* row = table + ids[i] * width;
    const float* place = position + (i % tokens) * width;
    float* out = y + i * width;
#pragma omp simd
    for (int64_t c = 0; c < width; c++) out[c] = row[c] * scale + place[c];
  }
  return 0;
}
