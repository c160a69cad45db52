// Register tiles: R rows of a packed panel times a run of B x B blocks, accumulated in registers.
//
// A panel holds the rows' columns block by block, [block column][row][B], so that a tile reads R * B elements that
// stand together: in a matrix whose rows are a power of two apart, R rows share one set of the L1 cache and evict each
// other. Blocks are stored input-major, [in][out], so that a vector runs over outputs.
#pragma once
#include "lanes.h"

namespace assay {

/// Vectors of a tile's columns: two where registers allow it, as 12 broadcasts then serve 24 products.
template <typename T, int B>
constexpr int tile_vectors() {
  constexpr int all = B / lanes<T>(B);
  return all < 2 ? all : 2;
}

/// Rows of the largest tile: accumulators take all registers but the weights' and the broadcast's.
template <typename T, int B>
constexpr int tile_rows() {
  return (kRegisters == 32 ? 24 : 12) / tile_vectors<T, B>();
}

/// Where one block row's blocks stand and which block columns they multiply. `columns` null means 0, 1, 2 ...
template <typename W>
struct Run {
  const int64_t* columns;
  int64_t count;
  const W* values;
  int64_t row_stride;    // elements from one input's weights to the next one's
  int64_t block_stride;  // elements from one block to the next
};

/// What is added to and multiplied with a finished sum. Either pointer may be null.
template <typename T>
struct Finish {
  const T* bias;
  const T* scales;
};

template <typename T, typename W, int B, int R>
void tile(const T* panel, int64_t panel_stride, const Run<W>& run, Finish<T> finish, T* out, int64_t out_stride,
          int rows, int columns) {
  constexpr int L = lanes<T>(B), V = tile_vectors<T, B>();
  for (int c = 0; c < B; c += V * L) {
    Vector<T, L> sums[R][V] = {};
    for (int64_t j = 0; j < run.count; j++) {
      const T* x = panel + (run.columns ? run.columns[j] : j) * panel_stride;
      const W* w = run.values + j * run.block_stride + c;
#pragma GCC unroll 4
      for (int k = 0; k < B; k++) {
        Vector<T, L> weights[V];
#pragma GCC unroll 8
        for (int v = 0; v < V; v++) weights[v] = load<T, L>(w + k * run.row_stride + v * L);
#pragma GCC unroll 24
        for (int r = 0; r < R; r++)
#pragma GCC unroll 8
          for (int v = 0; v < V; v++) sums[r][v] += x[r * B + k] * weights[v];
      }
    }
    T line[V * L];
#pragma GCC unroll 24
    for (int r = 0; r < R; r++) {
      if (r >= rows) break;
      const bool whole = c + V * L <= columns;
      T* target = whole ? out + r * out_stride + c : line;
#pragma GCC unroll 8
      for (int v = 0; v < V; v++) {
        if (finish.scales) sums[r][v] *= load<T, L>(finish.scales + c + v * L);
        if (finish.bias) sums[r][v] += load<T, L>(finish.bias + c + v * L);
        store<T, L>(target + v * L, sums[r][v]);
      }
      for (int i = 0; !whole && c + i < columns; i++) out[r * out_stride + c + i] = line[i];
    }
  }
}

/// A tile of at least `rows` rows; those beyond it are computed from the panel's zeros and not stored.
template <typename T, typename W, int B>
void tile_of(int rows, const T* panel, int64_t panel_stride, const Run<W>& run, Finish<T> finish, T* out,
             int64_t out_stride, int columns) {
  constexpr int most = tile_rows<T, B>();
#define ASSAY_TILE(R)      \
  if constexpr (R <= most) \
    if (rows <= R) return tile<T, W, B, R>(panel, panel_stride, run, finish, out, out_stride, rows, columns);
  ASSAY_TILE(1)
  ASSAY_TILE(2)
  ASSAY_TILE(4)
  ASSAY_TILE(6)
  ASSAY_TILE(8)
  ASSAY_TILE(12)
  ASSAY_TILE(16)
  ASSAY_TILE(24)
#undef ASSAY_TILE
}

/// The rows that a panel of `rows` needs in memory: the smallest tile's that hold it.
template <typename T, int B>
constexpr int rounded_rows(int rows) {
  constexpr int sizes[] = {1, 2, 4, 6, 8, 12, 16, 24};
  for (int size : sizes)
    if (rows <= size) return size < tile_rows<T, B>() ? size : tile_rows<T, B>();
  return tile_rows<T, B>();
}

/// Gradient of one block: out[in][out] (+)= sum over rows of x[row][in] * g[row][out], both packed panels.
template <typename T, int B>
void gradient(const T* x, const T* g, int64_t rows, T* out, int64_t out_stride, bool add) {
  constexpr int L = lanes<T>(B), V = tile_vectors<T, B>(), R = kRegisters == 32 ? 8 : 4;
  for (int i = 0; i < B; i += R)
    for (int c = 0; c < B; c += V * L) {
      Vector<T, L> sums[R][V] = {};
      for (int64_t m = 0; m < rows; m++) {
        Vector<T, L> slopes[V];
#pragma GCC unroll 8
        for (int v = 0; v < V; v++) slopes[v] = load<T, L>(g + m * B + c + v * L);
#pragma GCC unroll 8
        for (int r = 0; r < R; r++)
#pragma GCC unroll 8
          for (int v = 0; v < V; v++) sums[r][v] += x[m * B + i + r] * slopes[v];
      }
#pragma GCC unroll 8
      for (int r = 0; r < R; r++)
#pragma GCC unroll 8
        for (int v = 0; v < V; v++) {
          T* target = out + (i + r) * out_stride + c + v * L;
          store<T, L>(target, add ? load<T, L>(target) + sums[r][v] : sums[r][v]);
        }
    }
}

}  // namespace assay
