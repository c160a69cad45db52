// Products of a few rows with a matrix read in place: packing it would cost more than the product.
#pragma once
#include <algorithm>

#include "transpose.h"

namespace assay {

/// A matrix [in, out] of any strides; one of them 1 in the functions that say so.
template <typename T>
struct Matrix {
  const T* values;
  int64_t in_stride, out_stride;
};

/// Rows of x that need not be evenly spaced: `at(r)` is row r of a piece.
template <typename T>
struct Rows {
  const T* values;
  int64_t stride;
  const int64_t* index;  // null: row r is row r
  const T* at(int64_t r) const { return values + (index ? index[r] : r) * stride; }
};

template <typename T, int L>
inline Vector<T, L> load_part(const T* from, int64_t count) {
  T line[L] = {};
  memcpy(line, from, count * sizeof(T));
  return load<T, L>(line);
}

/// Bytes ahead of a column that are fetched, beyond its end the next column's: 6 KB bring 18.5 GB/s where none
/// bring 14.5.
constexpr int kDotAhead = 6 << 10;

/// R rows times one column whose inputs adjoin, as vectors of partial sums. The column is read as one stream: of four
/// columns at once the processor fetches 12 GB/s.
template <typename T, int R>
inline void dots(const T* const (&x)[R], int64_t in_features, const T* w, Vector<T, lanes<T>(64)> (&out)[R]) {
  constexpr int L = lanes<T>(64), U = R < 4 ? 4 : 2;
  Vector<T, L> sums[R][U] = {};
  int64_t k = 0;
  for (; k + U * L <= in_features; k += U * L) {
#pragma GCC unroll 4
    for (int u = 0; u < U; u++) {
      const Vector<T, L> weights = load<T, L>(w + k + u * L);
      __builtin_prefetch(reinterpret_cast<const char*>(w + k + u * L) + kDotAhead, 0, 2);
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) sums[r][u] += load<T, L>(x[r] + k + u * L) * weights;
    }
  }
  for (; k < in_features; k += L) {
    const int64_t left = std::min<int64_t>(L, in_features - k);
    const Vector<T, L> weights = load_part<T, L>(w + k, left);
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) sums[r][0] += load_part<T, L>(x[r] + k, left) * weights;
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; r++) {
    out[r] = sums[r][0];
#pragma GCC unroll 4
    for (int u = 1; u < U; u++) out[r] += sums[r][u];
  }
}

/// Calls run with `count` as a constant of 1 to `most`.
template <int most, typename Run>
inline void with_constant(int64_t count, Run run) {
  if constexpr (most > 1)
    if (count < most) return with_constant<most - 1>(count, run);
  run(std::integral_constant<int, most>());
}

/// y = x times w, where w.in_stride is 1.
template <typename T, int R>
void few_by_dots(const T* const (&x)[R], int64_t in_features, const Matrix<T>& w, int64_t columns, T* y,
                 int64_t y_stride) {
  constexpr int L = lanes<T>(64);
  for (int64_t n = 0; n < columns; n += 4) {
    const int64_t here = std::min<int64_t>(4, columns - n);
    Vector<T, L> parts[R][4] = {};
    for (int64_t c = 0; c < here; c++) {
      Vector<T, L> of_column[R];
      dots<T, R>(x, in_features, w.values + (n + c) * w.out_stride, of_column);
      for (int r = 0; r < R; r++) parts[r][c] = of_column[r];
    }
    for (int r = 0; r < R; r++) {
      T sums[4];
      sums_of_four<T, L>(parts[r], sums);
      memcpy(y + r * y_stride + n, sums, here * sizeof(T));
    }
  }
}

/// y += U inputs of R rows times their rows of weights, whose columns adjoin. The next U rows are fetched meanwhile.
template <typename T, int R, int U>
inline void add_inputs(const T* const (&x)[R], const T* w, int64_t in_stride, int64_t columns, T* y, int64_t y_stride) {
  constexpr int L = lanes<T>(64);
  int64_t n = 0;
  for (; n + L <= columns; n += L) {
    Vector<T, L> weights[U];
#pragma GCC unroll 4
    for (int u = 0; u < U; u++) {
      weights[u] = load<T, L>(w + u * in_stride + n);
      __builtin_prefetch(w + (U + u) * in_stride + n, 0, 2);
    }
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) {
      Vector<T, L> sum = load<T, L>(y + r * y_stride + n);
#pragma GCC unroll 4
      for (int u = 0; u < U; u++) sum += x[r][u] * weights[u];
      store<T, L>(y + r * y_stride + n, sum);
    }
  }
  for (; n < columns; n++)
    for (int r = 0; r < R; r++)
      for (int u = 0; u < U; u++) y[r * y_stride + n] += x[r][u] * w[u * in_stride + n];
}

/// y = x times w, where w.out_stride is 1: whole rows of weights are read, one after the other.
template <typename T, int R>
void few_by_inputs(const T* const (&x)[R], int64_t in_features, const Matrix<T>& w, int64_t columns, T* y,
                   int64_t y_stride) {
  constexpr int U = 4;
  for (int r = 0; r < R; r++) memset(y + r * y_stride, 0, columns * sizeof(T));
  for (int64_t k = 0; k < in_features; k += U) {
    const T* now[R];
    for (int r = 0; r < R; r++) now[r] = x[r] + k;
    with_constant<U>(std::min<int64_t>(U, in_features - k), [&](auto some) {
      add_inputs<T, R, decltype(some)::value>(now, w.values + k * w.in_stride, w.in_stride, columns, y, y_stride);
    });
  }
}

/// Up to which number of rows packing the weights costs more than it saves.
constexpr int kFewRows = kRegisters == 32 ? 4 : 2;

/// Whether `few` takes these rows.
template <typename T>
bool is_few(const Matrix<T>& w, int64_t rows) {
  return rows <= kFewRows && (w.in_stride == 1 || w.out_stride == 1);
}

/// y = x times w for rows of which `is_few` is true.
template <typename T>
void few(const Rows<T>& x, int64_t rows, int64_t in_features, const Matrix<T>& w, int64_t columns, T* y,
         int64_t y_stride) {
  with_constant<kFewRows>(rows, [&](auto some) {
    constexpr int R = decltype(some)::value;
    const T* at[R];
    for (int r = 0; r < R; r++) at[r] = x.at(r);
    if (w.in_stride == 1)
      few_by_dots<T, R>(at, in_features, w, columns, y, y_stride);
    else
      few_by_inputs<T, R>(at, in_features, w, columns, y, y_stride);
  });
}

}  // namespace assay
