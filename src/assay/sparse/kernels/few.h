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

/// R rows times four columns whose inputs adjoin (w.in_stride is 1): dot products, summed over lanes at the end.
template <typename T, int R>
inline void dots(const T* const (&x)[R], int64_t in_features, const T* const (&w)[4], T (&out)[R][4]) {
  constexpr int L = lanes<T>(64);
  Vector<T, L> sums[R][4] = {};
  auto add = [&](auto read) {
    Vector<T, L> weights[4];
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) weights[c] = read(w[c]);
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
      const Vector<T, L> values = read(x[r]);
#pragma GCC unroll 4
      for (int c = 0; c < 4; c++) sums[r][c] += values * weights[c];
    }
  };
  int64_t k = 0;
  for (; k + L <= in_features; k += L) add([k](const T* row) { return load<T, L>(row + k); });
  if (k < in_features) add([=](const T* row) { return load_part<T, L>(row + k, in_features - k); });
#pragma GCC unroll 8
  for (int r = 0; r < R; r++) sums_of_four<T, L>(sums[r], out[r]);
}

/// y = x times w, plus bias, where w.in_stride is 1.
template <typename T, int R>
void few_by_dots(const Rows<T>& x, int64_t first, int64_t in_features, const Matrix<T>& w, const T* bias, T* y,
                 int64_t y_stride, int64_t columns) {
  const T* rows[R];
  for (int r = 0; r < R; r++) rows[r] = x.at(first + r);
  for (int64_t n = 0; n < columns; n += 4) {
    const T* starts[4];
    for (int c = 0; c < 4; c++) starts[c] = w.values + std::min(n + c, columns - 1) * w.out_stride;
    T sums[R][4];
    dots<T, R>(rows, in_features, starts, sums);
    for (int r = 0; r < R; r++)
      for (int c = 0; c < 4 && n + c < columns; c++)
        y[(first + r) * y_stride + n + c] = bias ? sums[r][c] + bias[n + c] : sums[r][c];
  }
}

/// R rows times V vectors of columns that adjoin (w.out_stride is 1): every input's weights are read once.
template <typename T, int R, int V>
inline void strip(const T* const (&x)[R], int64_t in_features, const T* w, int64_t in_stride, const T* bias, T* y,
                  int64_t y_stride) {
  constexpr int L = lanes<T>(64);
  Vector<T, L> sums[R][V] = {};
  for (int64_t k = 0; k < in_features; k++) {
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) {
      const Vector<T, L> weights = load<T, L>(w + k * in_stride + v * L);
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) sums[r][v] += x[r][k] * weights;
    }
  }
#pragma GCC unroll 8
  for (int v = 0; v < V; v++)
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
      if (bias) sums[r][v] += load<T, L>(bias + v * L);
      store<T, L>(y + r * y_stride + v * L, sums[r][v]);
    }
}

/// y = x times w, plus bias, where w.out_stride is 1. A last strip that is not whole overlaps the one before it.
template <typename T, int R>
void few_by_strips(const Rows<T>& x, int64_t first, int64_t in_features, const Matrix<T>& w, const T* bias, T* y,
                   int64_t y_stride, int64_t columns) {
  constexpr int L = lanes<T>(64), fit = kRegisters * 3 / 4 / R, V = fit < 8 ? fit : 8;
  const T* rows[R];
  for (int r = 0; r < R; r++) rows[r] = x.at(first + r);
  y += first * y_stride;
  int64_t n = 0;
  for (; n + V * L <= columns; n += V * L)
    strip<T, R, V>(rows, in_features, w.values + n, w.in_stride, bias ? bias + n : nullptr, y + n, y_stride);
  for (; n < columns && columns >= L; n += L) {
    n = std::min(n, columns - L);
    strip<T, R, 1>(rows, in_features, w.values + n, w.in_stride, bias ? bias + n : nullptr, y + n, y_stride);
  }
  for (; n < columns; n++)
    for (int r = 0; r < R; r++) {
      T sum = bias ? bias[n] : T(0);
      for (int64_t k = 0; k < in_features; k++) sum += rows[r][k] * w.values[k * w.in_stride + n];
      y[r * y_stride + n] = sum;
    }
}

/// Rows of one pass: their accumulators, the weights and a row's values fit the registers.
constexpr int kFewRows = kRegisters == 32 ? 4 : 2;

/// Any number of rows, kFewRows at a time.
template <typename T>
void few(const Rows<T>& x, int64_t rows, int64_t in_features, const Matrix<T>& w, const T* bias, T* y, int64_t y_stride,
         int64_t columns) {
  for (int64_t r = 0; r < rows; r += kFewRows) {
    const int64_t now = std::min<int64_t>(kFewRows, rows - r);
    auto run = [&](auto some) {
      constexpr int R = decltype(some)::value;
      if (w.in_stride == 1)
        few_by_dots<T, R>(x, r, in_features, w, bias, y, y_stride, columns);
      else
        few_by_strips<T, R>(x, r, in_features, w, bias, y, y_stride, columns);
    };
    if (now == 1) run(std::integral_constant<int, 1>());
    if (now == 2) run(std::integral_constant<int, 2>());
    if constexpr (kFewRows > 2) {
      if (now == 3) run(std::integral_constant<int, 3>());
      if (now == 4) run(std::integral_constant<int, 4>());
    }
  }
}

}  // namespace assay
