#include "folded.h"

#include <cmath>

FoldedConv fold(const assay_call* call, int first, int64_t channels) {
  const float *w = assay_weight<float>(call, first), *gamma = assay_weight<float>(call, first + 1);
  const float *beta = assay_weight<float>(call, first + 2), *mean = assay_weight<float>(call, first + 3);
  const float* variance = assay_weight<float>(call, first + 4);
  FoldedConv folded{std::vector<float>(9 * channels * channels), std::vector<float>(channels)};
  for (int64_t o = 0; o < channels; o++) {
    const double scale = gamma[o] / std::sqrt(static_cast<double>(variance[o]) + 1e-5);
    folded.bias[o] = static_cast<float>(beta[o] - mean[o] * scale);
    for (int64_t c = 0; c < channels; c++)
      for (int64_t tap = 0; tap < 9; tap++)
        folded.weight[(tap * channels + c) * channels + o] =
            static_cast<float>(w[(o * channels + c) * 9 + tap] * scale);
  }
  return folded;
}
