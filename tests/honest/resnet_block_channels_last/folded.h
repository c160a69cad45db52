// A 3 x 3 convolution with its batch norm folded in, in double and rounded once. Weights as [tap][in][out].
#pragma once

#include <assay/kernel.h>

#include <vector>

struct FoldedConv {
  std::vector<float> weight, bias;
};

// `first` is the index of the convolution's weight; the norm's weight, bias, mean and variance follow it.
FoldedConv fold(const assay_call* call, int first, int64_t channels);
