// What Python hands over: plain structures, mirrored by library.py field for field.
#pragma once
#include <cstdint>

extern "C" {

/// y[rows, out] = x[rows, in] times block-sparse values. Strides are in elements, of rows; a row's elements adjoin.
struct AssayMultiply {
  int64_t rows, in_features, out_features;
  int64_t x_stride, y_stride;
  const void* x;
  void* y;
  const int64_t* row_starts;  // [block rows + 1], as CSR's
  const int64_t* columns;     // [blocks]
  const void* values;         // [blocks][in][out]
  const void* scales;         // [out], of int8 values only
  const void* bias;           // [out] or null
  int32_t block;              // 8, 16, 32 or 64
  int32_t kind;               // 0: float32, 1: float64, 2: int8 values and float32 activations
  int32_t threads;
};

/// values'[blocks][in][out] of a product: the sampled product of x and the output's gradient.
struct AssayGradient {
  int64_t rows, in_features, out_features;
  int64_t x_stride, g_stride;
  const void* x;
  const void* g;
  const int64_t* row_starts;
  const int64_t* columns;
  void* out;
  int32_t block, kind, threads;
};

/// For every group: its rows of x times its matrix w[group], or (outer) x's rows transposed times y's rows.
struct AssayGrouped {
  int64_t groups, x_rows, rows, in_features, out_features;
  const int64_t* ends;       // [groups], rows of y up to a group's end
  const int64_t* row_index;  // [rows], x's row for every row of y, or null for the same
  int64_t x_stride, y_stride;
  const void* x;
  void* y;                       // product: written; outer: read
  void* w;                       // product: read; outer: written, w_out being 1
  int64_t w_group, w_in, w_out;  // strides
  const void* bias;              // product: a row of out_features for every group, or null
  int64_t bias_group;            // elements from one group's to the next one's, 0 where they share one
  int32_t kind, threads;
};
}
