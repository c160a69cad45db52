// Entry points of the block-sparse products: a kind and a block size choose the instance.
#include "multiply.h"
#include "transpose.h"

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

/// out[j] = values[order[j]] transposed, in squares that fit the registers.
template <typename T, int B>
void transpose(const T* values, const int64_t* order, T* out, int64_t blocks) {
  constexpr int L = lanes<T>(B);
  for (int64_t j = 0; j < blocks; j++) {
    const T* from = values + order[j] * B * B;
    T* to = out + j * B * B;
    for (int i = 0; i < B; i += L)
      for (int k = 0; k < B; k += L) {
        Vector<T, L> square[L];
#pragma GCC unroll 16
        for (int r = 0; r < L; r++) square[r] = load<T, L>(from + (i + r) * B + k);
        transpose_square<T, L>(square);
#pragma GCC unroll 16
        for (int r = 0; r < L; r++) store<T, L>(to + (k + r) * B + i, square[r]);
      }
  }
}

template <int B>
int transpose_kind(const void* values, const int64_t* order, void* out, int64_t blocks, int32_t kind) {
  if (kind == 0)
    transpose<float, B>(static_cast<const float*>(values), order, static_cast<float*>(out), blocks);
  else if (kind == 1)
    transpose<double, B>(static_cast<const double*>(values), order, static_cast<double*>(out), blocks);
  else
    return 1;
  return 0;
}

}  // namespace

extern "C" {

// All return 0, or 1 for a block or kind that there is no instance of, 2 where memory is short.

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
  if (side == 8) return transpose_kind<8>(values, order, out, blocks, kind);
  if (side == 16) return transpose_kind<16>(values, order, out, blocks, kind);
  if (side == 32) return transpose_kind<32>(values, order, out, blocks, kind);
  if (side == 64) return transpose_kind<64>(values, order, out, blocks, kind);
  return 1;
}
}
