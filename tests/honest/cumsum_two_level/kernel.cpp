#include <assay/kernel.h>

#include <algorithm>

constexpr int64_t BLOCK = 64;

extern "C" int assay_kernel(const assay_call* call) {
  const int64_t rows = call->inputs[0].shape[0], cols = call->inputs[0].shape[1];
  const float* x = assay_in<float>(call, 0);
  float* y = assay_out<float>(call, 0);
#pragma omp parallel for num_threads(call->n_threads)
  for (int64_t i = 0; i < rows; i++) {
    float before = 0.0f;
    for (int64_t b = 0; b < cols; b += BLOCK) {
      const int64_t n = std::min(BLOCK, cols - b);
      const float* in = x + i * cols + b;
      float* out = y + i * cols + b;
      float running = 0.0f;
      for (int64_t j = 0; j < n; j++) out[j] = running += in[j];
      for (int64_t j = 0; j < n; j++) out[j] += before;
      before += running;
    }
  }
  return 0;
}
