// Register tiles of packed rows times one packed panel of 32 columns, and where their sums go.
//
// tile.h's tiles, but for a panel of any number of inputs, with results that may be added where an index says, and with
// the weights that come next fetched from memory meanwhile: at 128 rows a group that is a tenth of the time.
#pragma once
#include <algorithm>

#include "tile.h"

namespace assay {

constexpr int kPanel = 32;  // columns of a panel of weights: two vectors of AVX-512, as tile.h takes them

/// Memory that will be read soon, as rows of lines; `step` asks for the next few. It may reach beyond its array.
struct Ahead {
  const char* row;
  int64_t stride, lines, rows;  // bytes from a row to the next one, lines of a row, rows left
  int64_t at_once;              // lines of a step
  int64_t line = 0;
  void step() {
    for (int64_t i = 0; i < at_once && rows > 0; i++) {
      __builtin_prefetch(row + line * 64, 0, 2);
      if (++line == lines) line = 0, row += stride, rows--;
    }
  }
};

/// Where a tile's rows go: y's own rows, or scaled and added to those that `index` names.
template <typename T>
struct Sink {
  T* y;
  int64_t stride, columns;
  const int64_t* index;  // of the tile's first row, or null
  const T* scales;       // likewise; null means 1
  const T* bias;         // 32 numbers or null
  T* row(int64_t r) const { return y + (index ? index[r] : r) * stride; }
  Sink from(int64_t r) const {
    return {index ? y : y + r * stride,    stride, columns, index ? index + r : nullptr,
            scales ? scales + r : nullptr, bias};
  }
};

/// One vector of row r at column c.
template <typename T, int L>
inline void put(const Sink<T>& sink, int64_t r, int64_t c, Vector<T, L> sum) {
  T* target = sink.row(r) + c;
  if (sink.bias) sum += load<T, L>(sink.bias + c);
  if (sink.scales) sum *= sink.scales[r];
  if (c + L <= sink.columns) return store<T, L>(target, sink.index ? load<T, L>(target) + sum : sum);
  for (int i = 0; c + i < sink.columns; i++) target[i] = sink.index ? target[i] + sum[i] : sum[i];
}

/// R packed rows [block of 32 inputs][row][32] times a panel [in][32]; the first `rows` of them are kept.
template <typename T, int R>
void panel_tile(const T* x, int64_t block_stride, int64_t in_features, const T* w, const Sink<T>& sink, int rows,
                Ahead& ahead) {
  constexpr int B = kPanel, L = lanes<T>(B), V = tile_vectors<T, B>();
  for (int r = 0; r < rows && sink.index; r++)
    for (int c = 0; c < B * static_cast<int>(sizeof(T)); c += 64)
      __builtin_prefetch(reinterpret_cast<const char*>(sink.row(r)) + c, 1);
  for (int c = 0; c < B; c += V * L) {
    Vector<T, L> sums[R][V] = {};
    for (int64_t k0 = 0; k0 < in_features; k0 += B) {
      const T* values = x + k0 / B * block_stride;
      const T* weights = w + k0 * B + c;
      const int here = static_cast<int>(std::min<int64_t>(B, in_features - k0));
      ahead.step();
#pragma GCC unroll 4
      for (int k = 0; k < here; k++) {
        Vector<T, L> line[V];
#pragma GCC unroll 8
        for (int v = 0; v < V; v++) line[v] = load<T, L>(weights + k * B + v * L);
#pragma GCC unroll 24
        for (int r = 0; r < R; r++)
#pragma GCC unroll 8
          for (int v = 0; v < V; v++) sums[r][v] += values[r * B + k] * line[v];
      }
    }
#pragma GCC unroll 24
    for (int r = 0; r < R; r++) {
      if (r >= rows) break;
#pragma GCC unroll 8
      for (int v = 0; v < V; v++) put<T, L>(sink, r, c + v * L, sums[r][v]);
    }
  }
}

/// All tiles of `rows` packed rows; `height` is the packed height, which whole tiles may read.
template <typename T>
void multiply_panel(const T* x, int64_t rows, int64_t height, int64_t in_features, const T* w, const Sink<T>& sink,
                    Ahead& ahead) {
  constexpr int tall = tile_rows<T, kPanel>();
  for (int64_t r = 0; r < rows; r += tall) {
    const int now = static_cast<int>(std::min<int64_t>(tall, rows - r));
    const T* from = x + r * kPanel;
    const Sink<T> to = sink.from(r);
#define ASSAY_TILE(R)                                                          \
  if constexpr (R <= tall)                                                     \
    if (now <= R) {                                                            \
      panel_tile<T, R>(from, height * kPanel, in_features, w, to, now, ahead); \
      continue;                                                                \
    }
    ASSAY_TILE(1)
    ASSAY_TILE(2)
    ASSAY_TILE(4)
    ASSAY_TILE(6)
    ASSAY_TILE(8)
    ASSAY_TILE(12)
#undef ASSAY_TILE
  }
}

}  // namespace assay
