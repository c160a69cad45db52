#include <assay/kernel.h>

#include <cmath>

constexpr int BEST = 4;

extern "C" int assay_kernel(const assay_call* call) {
  const int64_t tokens = call->inputs[0].shape[0], experts = call->inputs[0].shape[1];
  const float* scores = assay_in<float>(call, 0);
  float* weights = assay_out<float>(call, 0);
  int64_t* indices = assay_out<int64_t>(call, 1);
#pragma omp parallel for num_threads(call->n_threads)
  for (int64_t t = 0; t < tokens; t++) {
    float value[BEST];
    int64_t index[BEST];
    int filled = 0;
    for (int64_t e = 0; e < experts; e++) {
      const float s = scores[t * experts + e];
      if (filled == BEST && s <= value[BEST - 1]) continue;
      int at = filled < BEST ? filled++ : BEST - 1;
      for (; at > 0 && value[at - 1] < s; at--) {
        value[at] = value[at - 1];
        index[at] = index[at - 1];
      }
      value[at] = s;
      index[at] = e;
    }
    float sum = 0.0f, power[BEST];
    for (int i = 0; i < BEST; i++) sum += power[i] = std::exp(value[i] - value[0]);
    for (int i = 0; i < BEST; i++) {
      weights[t * BEST + i] = power[i] / sum;
      indices[t * BEST + i] = index[i];
    }
  }
  return 0;
}
