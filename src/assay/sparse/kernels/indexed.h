// Products with an unstructured sparse matrix by column numbers, for so few values that a bit for every column costs
// more: 16 bits for each value. One row of x is gathered; more are transposed, so that a value meets all of them at
// once as a vector, which is faster than a dense product at any number of rows.
#pragma once
#include "masked.h"

namespace assay {

/// One output: values times the elements of x that their columns name.
template <typename T>
T gathered(const T* x, const T* values, const uint16_t* columns, int64_t count) {
  Vector<T, 4> sums[4] = {};
  int64_t j = 0;
  for (; j + 16 <= count; j += 16)
#pragma GCC unroll 4
    for (int a = 0; a < 4; a++) {
      uint64_t four;  // one load for four columns: loads are what this loop is bound by
      memcpy(&four, columns + j + 4 * a, sizeof four);
      const Vector<T, 4> found = {x[four & 0xffff], x[four >> 16 & 0xffff], x[four >> 32 & 0xffff], x[four >> 48]};
      sums[a] += found * load<T, 4>(values + j + 4 * a);
    }
  T rest = 0;
  for (; j < count; j++) rest += x[columns[j]] * values[j];
  return rest + total<T, 4>((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

/// One output of L rows of x, which is [in][L], into sums[L].
template <typename T, int L>
void gather_lanes(const T* x, const T* values, const uint16_t* columns, int64_t count, T* sums) {
  constexpr int N = lanes<T>(L), V = L / N, A = 4;  // four sums a lane hide the latency of a product
  Vector<T, N> parts[A][V] = {};
  const auto add = [&](int a, int64_t j) {
    const T* at = x + static_cast<int64_t>(columns[j]) * L;
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) parts[a][v] += values[j] * load<T, N>(at + v * N);
  };
  int64_t j = 0;
  for (; j + A <= count; j += A)
#pragma GCC unroll 4
    for (int a = 0; a < A; a++) add(a, j + a);
  for (; j < count; j++) add(0, j);
#pragma GCC unroll 8
  for (int v = 0; v < V; v++) store<T, N>(sums + v * N, (parts[0][v] + parts[1][v]) + (parts[2][v] + parts[3][v]));
}

/// Rows of x from m on, up to L of them.
template <typename T, int L>
void multiply_lanes(const AssayMasked& p, int64_t m) {
  static thread_local Scratch memory;
  const int64_t rows = std::min<int64_t>(L, p.rows - m);
  const T* from = static_cast<const T*>(p.x) + m * p.x_stride;
  T* x = memory.take<T>(p.in_features * L);
  for (int64_t c = 0; c < p.in_features; c++)
    for (int64_t b = 0; b < L; b++) x[c * L + b] = b < rows ? from[b * p.x_stride + c] : T(0);
  const T *values = static_cast<const T*>(p.values), *bias = static_cast<const T*>(p.bias);
  T* y = static_cast<T*>(p.y) + m * p.y_stride;
#pragma omp parallel for num_threads(p.threads) schedule(static)
  for (int64_t row = 0; row < p.out_features; row++) {
    const int64_t start = p.row_starts[row];
    T sums[L];
    gather_lanes<T, L>(x, values + start, p.columns + start, p.row_starts[row + 1] - start, sums);
    for (int64_t b = 0; b < rows; b++) y[b * p.y_stride + row] = sums[b] + (bias ? bias[row] : T(0));
  }
}

template <typename T>
void multiply_gathered(const AssayMasked& p, int64_t m) {
  const T* x = static_cast<const T*>(p.x) + m * p.x_stride;
  const T *values = static_cast<const T*>(p.values), *bias = static_cast<const T*>(p.bias);
  T* y = static_cast<T*>(p.y) + m * p.y_stride;
#pragma omp parallel for num_threads(p.threads) schedule(static)
  for (int64_t row = 0; row < p.out_features; row++) {
    const int64_t start = p.row_starts[row];
    y[row] =
        gathered<T>(x, values + start, p.columns + start, p.row_starts[row + 1] - start) + (bias ? bias[row] : T(0));
  }
}

template <typename T>
void multiply_indexed(const AssayMasked& p) {
  for (int64_t m = 0, done; m < p.rows; m += done) {
    const int64_t left = p.rows - m;
    done = left == 1 ? 1 : left <= 4 ? 4 : left <= 8 ? 8 : 16;
    if (done == 1) multiply_gathered<T>(p, m);
    if (done == 4) multiply_lanes<T, 4>(p, m);
    if (done == 8) multiply_lanes<T, 8>(p, m);
    if (done == 16) multiply_lanes<T, 16>(p, m);
  }
}

}  // namespace assay
