#include <assay/kernel.h>

#include <algorithm>

namespace {

void segments(const float* x, const int64_t* starts, int64_t from, int64_t to, int64_t width, float* y) {
  for (int64_t s = from; s < to; s++) {
    float* out = y + s * width;
    std::fill(out, out + width, 0.0f);
    for (int64_t i = starts[s]; i < starts[s + 1]; i++)
      for (int64_t j = 0; j < width; j++) out[j] += x[i * width + j];
    const float inverse = 1.0f / static_cast<float>(std::max<int64_t>(1, starts[s + 1] - starts[s]));
    for (int64_t j = 0; j < width; j++) out[j] *= inverse;
  }
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const int64_t width = call->inputs[0].shape[1], count = call->inputs[1].shape[0] - 1;
  const float* x = assay_in<float>(call, 0);
  const int64_t* starts = assay_in<int64_t>(call, 1);
  float* y = assay_out<float>(call, 0);
#pragma omp parallel sections num_threads(call->n_threads < 2 ? 1 : 2)
  {
#pragma omp section
    segments(x, starts, 0, count / 2, width, y);
#pragma omp section
    segments(x, starts, count / 2, count, width, y);
  }
  return 0;
}
