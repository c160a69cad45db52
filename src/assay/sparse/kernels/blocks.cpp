// Entry points of the block-sparse products: a kind and a block size choose the instance.
#include "multiply.h"

namespace {

using namespace assay;

template <int B>
int multiply_kind(const AssayMultiply& p) {
  if (p.kind == 0) return multiply<float, float, B>(p);
  if (p.kind == 1) return multiply<double, double, B>(p);
  if (p.kind == 2) return multiply<float, int8_t, B>(p);
  return 1;
}

template <int B>
int gradient_kind(const AssayGradient& p) {
  if (p.kind == 0) return sampled<float, B>(p);
  if (p.kind == 1) return sampled<double, B>(p);
  return 1;
}

/// out[j] = values[order[j]] transposed; a block fits the L1 cache, so the strided side costs no misses.
template <typename T>
void transpose(const T* values, const int64_t* order, T* out, int64_t blocks, int64_t side) {
  for (int64_t j = 0; j < blocks; j++) {
    const T* from = values + order[j] * side * side;
    T* to = out + j * side * side;
    for (int64_t i0 = 0; i0 < side; i0 += 8)
      for (int64_t k = 0; k < side; k++)
        for (int64_t i = i0; i < i0 + 8; i++) to[k * side + i] = from[i * side + k];
  }
}

}  // namespace

extern "C" {

/// 0, or 1 for a block or kind that there is no instance of, 2 where memory is short.
int assay_block_multiply(const AssayMultiply* p) {
  if (p->block == 8) return multiply_kind<8>(*p);
  if (p->block == 16) return multiply_kind<16>(*p);
  if (p->block == 32) return multiply_kind<32>(*p);
  if (p->block == 64) return multiply_kind<64>(*p);
  return 1;
}

int assay_block_gradient(const AssayGradient* p) {
  if (p->block == 8) return gradient_kind<8>(*p);
  if (p->block == 16) return gradient_kind<16>(*p);
  if (p->block == 32) return gradient_kind<32>(*p);
  if (p->block == 64) return gradient_kind<64>(*p);
  return 1;
}

int assay_block_transpose(const void* values, const int64_t* order, void* out, int64_t blocks, int64_t side,
                          int32_t kind) {
  if (kind == 1)
    transpose(static_cast<const double*>(values), order, static_cast<double*>(out), blocks, side);
  else
    transpose(static_cast<const float*>(values), order, static_cast<float*>(out), blocks, side);
  return 0;
}
}
