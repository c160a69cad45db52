// Block-sparse products: chunks of rows are packed once and meet every block row while they are in the L2 cache.
#pragma once
#include <omp.h>

#include <algorithm>

#include "arguments.h"
#include "packing.h"
#include "tile.h"

namespace assay {

/// Rows of a chunk: what kPanelBytes hold, a whole number of tiles.
template <typename T, int B>
int64_t chunk_rows(int64_t features) {
  constexpr int64_t tall = tile_rows<T, B>();
  const int64_t fit = kPanelBytes / (blocks_in(features, B) * B * static_cast<int64_t>(sizeof(T)));
  return std::clamp<int64_t>(fit / tall * tall, tall, 16 * tall);
}

/// The height of `rows` packed rows: whole tiles, then the smallest one for what is left.
template <typename T, int B>
int64_t packed_height(int64_t rows) {
  constexpr int64_t tall = tile_rows<T, B>();
  const int64_t left = rows % tall;
  return rows - left + (left ? rounded_rows<T, B>(static_cast<int>(left)) : 0);
}

/// All tiles of one block row over a packed chunk of `rows`.
template <typename T, typename W, int B>
void multiply_chunk(const T* panels, int64_t rows, int64_t height, const Run<W>& run, Finish<T> finish, T* y,
                    int64_t y_stride, int64_t columns) {
  constexpr int64_t tall = tile_rows<T, B>();
  for (int64_t r = 0; r < rows; r += tall)
    tile_of<T, W, B>(static_cast<int>(std::min(tall, rows - r)), panels + r * B, height * B, run, finish,
                     y + r * y_stride, y_stride, static_cast<int>(std::min<int64_t>(columns, B)));
}

/// Rows m0 .. m1 of y in block rows b0 .. b1; false where memory is short.
template <typename T, typename W, int B>
bool multiply_part(const AssayMultiply& p, int64_t m0, int64_t m1, int64_t b0, int64_t b1) {
  static thread_local Scratch memory, tail;
  const T* bias = static_cast<const T*>(p.bias);
  const T* scales = static_cast<const T*>(p.scales);
  const int64_t last = p.out_features / B, rest = p.out_features % B;  // the block row that is not whole
  T* padded = tail.take<T>(2 * B);
  if (!padded) return false;
  for (int64_t i = 0; i < rest; i++) {
    padded[i] = bias ? bias[last * B + i] : T(0);
    padded[B + i] = scales ? scales[last * B + i] : T(1);
  }
  const int64_t chunk = std::min(chunk_rows<T, B>(p.in_features), m1 - m0);
  T* panels = memory.take<T>(packed_height<T, B>(chunk) * blocks_in(p.in_features, B) * B);
  if (!panels) return false;
  for (int64_t m = m0; m < m1; m += chunk) {
    const int64_t rows = std::min(chunk, m1 - m), height = packed_height<T, B>(rows);
    pack<T, B>(static_cast<const T*>(p.x), p.x_stride, nullptr, m, rows, height, p.in_features, panels);
    for (int64_t b = b0; b < b1; b++) {
      const int64_t start = p.row_starts[b];
      const Run<W> run{p.columns + start, p.row_starts[b + 1] - start, static_cast<const W*>(p.values) + start * B * B,
                       B, B * B};
      Finish<T> finish{bias ? bias + b * B : nullptr, scales ? scales + b * B : nullptr};
      if (rest && b == last) finish = {bias ? padded : nullptr, scales ? padded + B : nullptr};
      multiply_chunk<T, W, B>(panels, rows, height, run, finish, static_cast<T*>(p.y) + m * p.y_stride + b * B,
                              p.y_stride, p.out_features - b * B);
    }
  }
  return true;
}

/// The first block row of part `part` of `parts` that hold equally many blocks (and count a row as one more).
inline int64_t balanced(const int64_t* row_starts, int64_t block_rows, int64_t part, int64_t parts) {
  const int64_t wanted = (row_starts[block_rows] + block_rows) * part / parts;
  int64_t low = 0, high = block_rows;
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (row_starts[middle] + middle < wanted)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/// Threads share rows where each gets four tiles or more, otherwise block rows. 0, or 2 where memory is short.
template <typename T, typename W, int B>
int multiply(const AssayMultiply& p) {
  constexpr int64_t tall = tile_rows<T, B>();
  const int64_t block_rows = blocks_in(p.out_features, B);
  const bool by_rows = p.rows >= 4 * tall * p.threads;
  bool fits = true;
#pragma omp parallel num_threads(p.threads) reduction(&& : fits)
  {
    const int64_t part = omp_get_thread_num(), parts = omp_get_num_threads();
    if (by_rows) {
      const int64_t tiles = (p.rows + tall - 1) / tall;
      const int64_t m0 = tiles * part / parts * tall, m1 = std::min(tiles * (part + 1) / parts * tall, p.rows);
      if (m0 < m1) fits = multiply_part<T, W, B>(p, m0, m1, 0, block_rows);
    } else {
      const int64_t b0 = balanced(p.row_starts, block_rows, part, parts);
      const int64_t b1 = balanced(p.row_starts, block_rows, part + 1, parts);
      if (b0 < b1 && p.rows) fits = multiply_part<T, W, B>(p, 0, p.rows, b0, b1);
    }
  }
  return fits ? 0 : 2;
}

/// The values' gradients: both sides packed by chunks, then every block's sum in registers. 0, or 2 without memory.
template <typename T, int B>
int sampled(const AssayGradient& p) {
  static thread_local Scratch memory;
  const int64_t in_blocks = blocks_in(p.in_features, B), out_blocks = blocks_in(p.out_features, B);
  const int64_t chunk = std::min(chunk_rows<T, B>(std::max(p.in_features, p.out_features)), p.rows);
  T* x = memory.take<T>(chunk * (in_blocks + out_blocks) * B);
  if (!x && p.rows) return 2;
  T* g = x + chunk * in_blocks * B;
  T* out = static_cast<T*>(p.out);
  if (!p.rows) memset(out, 0, p.row_starts[out_blocks] * B * B * sizeof(T));
#pragma omp parallel num_threads(p.threads)
  {
    const int64_t part = omp_get_thread_num(), parts = omp_get_num_threads();
    const int64_t b0 = balanced(p.row_starts, out_blocks, part, parts);
    const int64_t b1 = balanced(p.row_starts, out_blocks, part + 1, parts);
    for (int64_t m = 0; m < p.rows; m += chunk) {
      const int64_t rows = std::min(chunk, p.rows - m);
#pragma omp single
      {
        pack<T, B>(static_cast<const T*>(p.x), p.x_stride, nullptr, m, rows, rows, p.in_features, x);
        pack<T, B>(static_cast<const T*>(p.g), p.g_stride, nullptr, m, rows, rows, p.out_features, g);
      }
      for (int64_t b = b0; b < b1; b++)
        for (int64_t j = p.row_starts[b]; j < p.row_starts[b + 1]; j++)
          gradient<T, B>(x + p.columns[j] * rows * B, g + b * rows * B, rows, out + j * B * B, B, m > 0);
#pragma omp barrier
    }
  }
  return 0;
}

}  // namespace assay
