// (x permuted to channels-last order - mean) * scale. PyTorch keeps the input's memory order for the permuted result,
// so the output's strides decide: whole planes one after the other, or the channels of a pixel side by side.
#include <assay/kernel.h>

extern "C" int assay_kernel(const assay_call* call) {
  const float* x = assay_in<float>(call, 0);
  const float* mean = assay_in<float>(call, 1);
  const float* scale = assay_in<float>(call, 2);
  float* y = assay_out<float>(call, 0);
  const int64_t* shape = call->inputs[0].shape;
  const int64_t* stride = call->outputs[0].stride;  // batch, row, column, channel
  const int64_t batch = shape[0], channels = shape[1], height = shape[2], width = shape[3];
  const bool planes = stride[2] == 1 || width == 1;
#pragma omp parallel for collapse(2) num_threads(call->n_threads) schedule(static)
  for (int64_t b = 0; b < batch; b++) {
    for (int64_t c = 0; c < channels; c++) {
      const float* in = x + (b * channels + c) * height * width;
      float* out = y + b * stride[0] + c * stride[3];
      const float m = mean[c], k = scale[c];
      for (int64_t h = 0; h < height; h++) {
        const float* from = in + h * width;
        float* to = out + h * stride[1];
        if (planes) {
#pragma omp simd
          for (int64_t w = 0; w < width; w++) to[w] = (from[w] - m) * k;
        } else {
          for (int64_t w = 0; w < width; w++) to[w * stride[2]] = (from[w] - m) * k;
        }
      }
    }
  }
  return 0;
}
