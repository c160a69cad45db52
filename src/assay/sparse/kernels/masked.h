// Products of a few rows with an unstructured sparse matrix: a bit for every column, and the values that are kept.
//
// A matrix-vector product is bound by bytes, so what counts is to keep several streams of memory busy: rows far apart
// are walked together, each a long stream that the processor's prefetchers follow (neighbouring rows would be streams
// of 3 KB, 20 to 30 % slower on Zen 4).
#pragma once
#include <omp.h>

#include <algorithm>

#include "expand.h"
#include "packing.h"

extern "C" {
/// Mirrored by unstructured_ops.py. A dense matrix, where there is one, is [out][in] at `y`.
struct AssayMasked {
  int64_t rows, in_features, out_features, kept;
  int64_t x_stride, y_stride;
  const void* x;
  void* y;
  const uint64_t* mask;       // [out][words of 64 columns], the lowest bit first
  const int64_t* row_starts;  // [out + 1]
  const uint16_t* columns;    // [kept] or null
  void* values;               // [kept]
  const void* bias;           // [out] or null
  int32_t kind;               // 0: float32, 1: float64
  int32_t threads;
};
}

namespace assay {

constexpr int64_t words_in(int64_t features) {
  return (features + 63) / 64;
}

/// One product's operands. Values of the rows at the end are a copy, behind which a vector may be read.
template <typename T>
struct Masked {
  const T* x;  // [B][x_stride], padded with zeros
  int64_t x_stride, words;
  const uint64_t* mask;
  const int64_t* starts;
  const T* values;
  const T* tail;
  int64_t tail_row;
  const T* bias;
  T* y;
  int64_t y_stride;
  int64_t rows;  // of x that count, up to B

  const T* values_of(int64_t row) const {
    return row < tail_row ? values + starts[row] : tail + (starts[row] - starts[tail_row]);
  }
  void put(int64_t batch, int64_t row, T sum) const { y[batch * y_stride + row] = sum + (bias ? bias[row] : T(0)); }
};

template <typename T, int N>
T total(Vector<T, N> v) {
  T part[N];
  store<T, N>(part, v);
  if constexpr (N == 1)
    return part[0];
  else
    return total<T, N / 2>(load<T, N / 2>(part) + load<T, N / 2>(part + N / 2));
}

/// Rows of the matrix that fit the registers beside B rows of x.
template <int B>
constexpr int rows_at_once() {
  if (kRegisters == 32) return B == 1 ? 8 : B <= 4 ? 4 : 2;
  return B == 1 ? 4 : B <= 4 ? 2 : 1;
}

/// Outputs row, row + step ... (R of them) of B rows of x, each expansion shared by the B.
template <typename T, int R, int B>
void expand_rows(const Masked<T>& w, int64_t row, int64_t step) {
  constexpr int L = kExpanded<T>;
  constexpr uint64_t all = (uint64_t(1) << L) - 1;
  const T* values[R];
  const uint64_t* mask[R];
  Vector<T, L> sums[R][B] = {};
#pragma GCC unroll 8
  for (int i = 0; i < R; i++) {
    values[i] = w.values_of(row + i * step);
    mask[i] = w.mask + (row + i * step) * w.words;
  }
  for (int64_t word = 0; word < w.words; word++)
#pragma GCC unroll 16
    for (int part = 0; part < 64 / L; part++) {
      Vector<T, L> weights[R];
#pragma GCC unroll 8
      for (int i = 0; i < R; i++) {
        const uint32_t bits = static_cast<uint32_t>(mask[i][word] >> (part * L) & all);
        weights[i] = expand<T>(values[i], bits);
        values[i] += __builtin_popcount(bits);
      }
#pragma GCC unroll 8
      for (int b = 0; b < B; b++) {
        const Vector<T, L> x = load<T, L>(w.x + b * w.x_stride + word * 64 + part * L);
#pragma GCC unroll 8
        for (int i = 0; i < R; i++) sums[i][b] += weights[i] * x;
      }
    }
#pragma GCC unroll 8
  for (int i = 0; i < R; i++)
#pragma GCC unroll 8
    for (int b = 0; b < B; b++)
      if (b < w.rows) w.put(b, row + i * step, total<T, L>(sums[i][b]));
}

/// Rows first .. last, R far-apart ones at a time, then those that are left over.
template <int R, typename Many, typename One>
void far_apart(int64_t first, int64_t last, Many many, One one) {
  const int64_t step = (last - first) / R;
  for (int64_t i = 0; i < step; i++) many(first + i, step);
  for (int64_t row = first + R * step; row < last; row++) one(row);
}

/// The operands of rows m .. m + B of x, copied to where whole vectors can be read.
template <typename T>
Masked<T> prepared(const AssayMasked& p, int64_t m, int64_t batch, Scratch& memory, Scratch& end) {
  const int64_t words = words_in(p.in_features), rows = std::min(batch, p.rows - m);
  // Not a power of two, so that the rows of x do not share sets of the L1 cache.
  const int64_t stride = words * 64 + 128 / static_cast<int64_t>(sizeof(T));
  T* x = memory.take<T>(batch * stride);
  memset(x, 0, batch * stride * sizeof(T));
  for (int64_t b = 0; b < rows; b++)
    memcpy(x + b * stride, static_cast<const T*>(p.x) + (m + b) * p.x_stride, p.in_features * sizeof(T));
  const T* values = static_cast<const T*>(p.values);
  int64_t tail_row = p.out_features;
  while (tail_row > 0 && p.row_starts[tail_row] > p.kept - kExpanded<T>) tail_row--;
  const int64_t start = p.row_starts[tail_row];
  T* tail = end.take<T>(p.kept - start + kExpanded<T>);
  memset(tail, 0, (p.kept - start + kExpanded<T>)*sizeof(T));
  memcpy(tail, values + start, (p.kept - start) * sizeof(T));
  return {x,
          stride,
          words,
          p.mask,
          p.row_starts,
          values,
          tail,
          tail_row,
          static_cast<const T*>(p.bias),
          static_cast<T*>(p.y) + m * p.y_stride,
          p.y_stride,
          rows};
}

/// The first row of one of the parts that threads take.
inline int64_t part_start(int64_t rows, int64_t part, int64_t parts) {
  return rows * part / parts;
}

template <typename T, int B>
void multiply_expanded(const Masked<T>& w, int64_t out_features, int threads) {
  constexpr int R = rows_at_once<B>();
#pragma omp parallel num_threads(threads)
  {
    const int64_t part = omp_get_thread_num(), parts = omp_get_num_threads();
    far_apart<R>(
        part_start(out_features, part, parts), part_start(out_features, part + 1, parts),
        [&](int64_t row, int64_t step) { expand_rows<T, R, B>(w, row, step); },
        [&](int64_t row) { expand_rows<T, 1, B>(w, row, 0); });
  }
}

}  // namespace assay
