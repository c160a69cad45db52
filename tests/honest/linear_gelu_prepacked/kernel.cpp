#include <assay/kernel.h>

#include <cmath>

#include "gemm.h"

extern "C" int assay_kernel(const assay_call* call) {
  const int64_t tokens = call->inputs[0].shape[0], in = call->inputs[0].shape[1], out = call->outputs[0].shape[1];
  static PackedWeight packed;  // the task declares its weights frozen
  packed.pack_once(assay_weight<float>(call, 0), out, in);
  const float *x = assay_in<float>(call, 0), *bias = assay_weight<float>(call, 1);
  float* y = assay_out<float>(call, 0);
#pragma omp parallel for num_threads(call->n_threads)
  for (int64_t start = 0; start < tokens; start += BLOCK_ROWS) {
    const int64_t rows = tokens - start < BLOCK_ROWS ? tokens - start : BLOCK_ROWS;
    multiply_block(x + start * in, packed, rows, y + start * out);
    for (int64_t i = start; i < start + rows; i++)
      for (int64_t j = 0; j < out; j++) {
        const float v = y[i * out + j] + bias[j];
        y[i * out + j] = 0.5f * v * std::erfc(v * -0.70710678118654752f);
      }
  }
  return 0;
}
