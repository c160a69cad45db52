// clamp(alpha * x + beta * y, -1.5, 1.5) in one pass; eager PyTorch makes four.
#include <assay/kernel.h>

#include <algorithm>

extern "C" int assay_kernel(const assay_call* call) {
  const float* x = assay_in<float>(call, 0);
  const float* y = assay_in<float>(call, 1);
  float* out = assay_out<float>(call, 0);
  const float alpha = static_cast<float>(call->scalars[0]);
  const float beta = static_cast<float>(call->scalars[1]);
  const int64_t n = call->inputs[0].numel;
  constexpr int64_t kChunk = 8192;
#pragma omp parallel for num_threads(call->n_threads) schedule(static)
  for (int64_t start = 0; start < n; start += kChunk) {
    const int64_t end = std::min(start + kChunk, n);
#pragma omp simd
    for (int64_t i = start; i < end; i++) {
      const float blend = alpha * x[i] + beta * y[i];
      const float floored = blend < -1.5f ? -1.5f : blend;
      out[i] = floored > 1.5f ? 1.5f : floored;
    }
  }
  return 0;
}
