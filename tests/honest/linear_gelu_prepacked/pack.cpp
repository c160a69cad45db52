#include "gemm.h"

void PackedWeight::pack_once(const float* weight, int64_t out, int64_t in) {
  if (weight == source_ && out == out_ && in == in_) return;
  source_ = weight;
  out_ = out;
  in_ = in;
  data_.assign(panels() * PANEL * in, 0.0f);
  for (int64_t j = 0; j < out; j++)
    for (int64_t k = 0; k < in; k++) data_[((j / PANEL) * in + k) * PANEL + j % PANEL] = weight[j * in + k];
}
