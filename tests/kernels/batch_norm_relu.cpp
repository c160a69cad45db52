// Batch normalisation with stored statistics and ReLU. The mean is taken off before scaling: folding it into the shift
// would lose digits where the mean is large.
#include <assay/kernel.h>

#include <cmath>

extern "C" int assay_kernel(const assay_call* call) {
  const float* x = assay_in<float>(call, 0);
  const float* weight = assay_weight<float>(call, 0);
  const float* bias = assay_weight<float>(call, 1);
  const float* running_mean = assay_weight<float>(call, 2);
  const float* running_var = assay_weight<float>(call, 3);
  float* y = assay_out<float>(call, 0);
  const int64_t* shape = call->inputs[0].shape;
  const int64_t channels = shape[1], pixels = shape[2] * shape[3];
  const int64_t planes = shape[0] * channels;
#pragma omp parallel for num_threads(call->n_threads) schedule(static)
  for (int64_t plane = 0; plane < planes; plane++) {
    const int64_t c = plane % channels;
    const float mean = running_mean[c];
    const float scale = weight[c] / std::sqrt(running_var[c] + 1e-5f);
    const float shift = bias[c];
    const float* in = x + plane * pixels;
    float* out = y + plane * pixels;
#pragma omp simd
    for (int64_t p = 0; p < pixels; p++) {
      const float v = (in[p] - mean) * scale + shift;
      out[p] = v > 0.0f ? v : 0.0f;
    }
  }
  return 0;
}
