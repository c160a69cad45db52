// The innermost piece of products and convolutions: a tile of sums that stays in registers over all their terms.
#pragma once
#include "prelude.h"

namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16, kRows = 8;
#else
constexpr int kLanes = 8, kRows = 4;
#endif
constexpr int kVectors = 3;  // with kRows: 24 sums in 32 registers, or 12 in 16
constexpr int kTile = kVectors * kLanes;
typedef float Vector __attribute__((vector_size(kLanes * sizeof(float)), aligned(sizeof(float)), may_alias));

// out[m][i] += (or = with kSets) the sum over r of left[m * step + r] * right[place(r) + i], for M rows of N vectors.
template <int M, int N, bool kSets, typename Place>
inline void tile(const float* __restrict left, int64_t step, const float* __restrict right, Place place, int64_t terms,
                 float* __restrict out, int64_t out_step) {
  Vector total[M][N] = {};
  for (int64_t r = 0; r < terms; r++) {
    const float* from = right + place(r);
    Vector in[N];
#pragma GCC unroll 3
    for (int n = 0; n < N; n++) in[n] = *reinterpret_cast<const Vector*>(from + n * kLanes);
#pragma GCC unroll 8
    for (int m = 0; m < M; m++) {
      const float factor = left[m * step + r];
#pragma GCC unroll 3
      for (int n = 0; n < N; n++) total[m][n] += factor * in[n];
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < M; m++) {
#pragma GCC unroll 3
    for (int n = 0; n < N; n++) {
      Vector* to = reinterpret_cast<Vector*>(out + m * out_step + n * kLanes);
      *to = kSets ? total[m][n] : *to + total[m][n];
    }
  }
}

// The same for any number of rows.
template <int N, bool kSets, typename Place>
inline void tiles_of(int64_t rows, const float* left, int64_t step, const float* right, Place place, int64_t terms,
                     float* out, int64_t out_step) {
  int64_t m = 0;
  for (; m + kRows <= rows; m += kRows) {
    tile<kRows, N, kSets>(left + m * step, step, right, place, terms, out + m * out_step, out_step);
  }
  if (kRows > 4 && m + 4 <= rows) {
    tile<4, N, kSets>(left + m * step, step, right, place, terms, out + m * out_step, out_step);
    m += 4;
  }
  for (; m + 2 <= rows; m += 2) {
    tile<2, N, kSets>(left + m * step, step, right, place, terms, out + m * out_step, out_step);
  }
  for (; m < rows; m++) tile<1, N, kSets>(left + m * step, step, right, place, terms, out + m * out_step, out_step);
}

// The same for any number of rows and one to kVectors vectors.
template <bool kSets = false, typename Place>
inline void tiles(int64_t rows, int vectors, const float* left, int64_t step, const float* right, Place place,
                  int64_t terms, float* out, int64_t out_step) {
  if (vectors == 3) {
    tiles_of<3, kSets>(rows, left, step, right, place, terms, out, out_step);
  } else if (vectors == 2) {
    tiles_of<2, kSets>(rows, left, step, right, place, terms, out, out_step);
  } else {
    tiles_of<1, kSets>(rows, left, step, right, place, terms, out, out_step);
  }
}

}  // namespace
