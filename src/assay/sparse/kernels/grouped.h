// Grouped products: every group's rows of x times the group's own matrix, as pieces that threads take in turn.
//
// A piece is a range of one group's rows and of output columns. Its thread packs the rows once, then for every 32
// columns packs the weights (transposing them in registers where their inputs adjoin) and multiplies by register tiles.
#pragma once
#include <omp.h>

#include <new>
#include <vector>

#include "arguments.h"
#include "few.h"
#include "multiply.h"

namespace assay {

constexpr int kPanel = 32;  // columns of a panel of weights: two vectors of AVX-512, as tile.h takes them

struct Piece {
  int64_t group, first, rows, column, columns;
};

/// Columns of w as a panel [in][32] with zeros beyond both; `inputs` is rounded up to whole blocks of 32.
template <typename T>
void pack_columns(const Matrix<T>& w, int64_t in_features, int64_t inputs, int64_t columns, T* panel) {
  constexpr int L = lanes<T>(kPanel);
  int64_t done = 0;  // inputs packed by whole squares
  if (w.in_stride == 1 && columns == kPanel) {
    done = in_features / L * L;
    for (int c = 0; c < kPanel; c += L)
      for (int64_t k = 0; k < done; k += L) {
        Vector<T, L> square[L];
#pragma GCC unroll 16
        for (int i = 0; i < L; i++) square[i] = load<T, L>(w.values + (c + i) * w.out_stride + k);
        transpose_square<T, L>(square);
#pragma GCC unroll 16
        for (int i = 0; i < L; i++) store<T, L>(panel + (k + i) * kPanel + c, square[i]);
      }
  } else if (w.out_stride == 1 && columns == kPanel) {
    done = in_features;
    for (int64_t k = 0; k < done; k++) memcpy(panel + k * kPanel, w.values + k * w.in_stride, kPanel * sizeof(T));
  }
  memset(panel + done * kPanel, 0, (inputs - done) * kPanel * sizeof(T));
  for (int64_t k = done; k < in_features; k++)
    for (int64_t c = 0; c < columns; c++) panel[k * kPanel + c] = w.values[k * w.in_stride + c * w.out_stride];
}

/// One thread's memory: a piece's packed rows, which pieces of the same rows share, and a panel of weights.
template <typename T>
struct Workspace {
  T* panels;
  T* weights;
  T* bias;
  int64_t packed_first = -1;  // the rows that `panels` hold start here
};

template <typename T>
void multiply_piece(const AssayGrouped& p, const Piece& piece, Workspace<T>& space) {
  const int64_t blocks = blocks_in(p.in_features, kPanel), height = packed_height<T, kPanel>(piece.rows);
  if (space.packed_first != piece.first) {
    pack<T, kPanel>(static_cast<const T*>(p.x), p.x_stride, p.row_index, piece.first, piece.rows, height, p.in_features,
                    space.panels);
    space.packed_first = piece.first;
  }
  const T* w = static_cast<const T*>(p.w) + piece.group * p.w_group;
  const T* bias = p.bias ? static_cast<const T*>(p.bias) + piece.group * p.bias_group : nullptr;
  T* y = static_cast<T*>(p.y) + piece.first * p.y_stride;
  for (int64_t c = piece.column; c < piece.column + piece.columns; c += kPanel) {
    const int64_t columns = std::min<int64_t>(kPanel, p.out_features - c);
    pack_columns<T>({w + c * p.w_out, p.w_in, p.w_out}, p.in_features, blocks * kPanel, columns, space.weights);
    if (bias) memcpy(space.bias, bias + c, columns * sizeof(T));
    const Run<T> run{nullptr, blocks, space.weights, kPanel, kPanel * kPanel};
    multiply_chunk<T, T, kPanel>(space.panels, piece.rows, height, run, {bias ? space.bias : nullptr, nullptr}, y + c,
                                 p.y_stride, columns);
  }
}

template <typename T>
void few_piece(const AssayGrouped& p, const Piece& piece) {
  const Rows<T> x{static_cast<const T*>(p.x) + (p.row_index ? 0 : piece.first * p.x_stride), p.x_stride,
                  p.row_index ? p.row_index + piece.first : nullptr};
  const Matrix<T> w{static_cast<const T*>(p.w) + piece.group * p.w_group + piece.column * p.w_out, p.w_in, p.w_out};
  const T* bias = p.bias ? static_cast<const T*>(p.bias) + piece.group * p.bias_group + piece.column : nullptr;
  few<T>(x, piece.rows, p.in_features, w, bias, static_cast<T*>(p.y) + piece.first * p.y_stride + piece.column,
         p.y_stride, piece.columns);
}

/// Every group's rows cut into chunks of at most `chunk`, and columns too where there are few chunks for the threads.
template <typename T>
std::vector<Piece> pieces_of(const AssayGrouped& p, int64_t chunk) {
  std::vector<Piece> found;
  for (int64_t group = 0, start = 0; group < p.groups; start = p.ends[group++])
    for (int64_t first = start; first < p.ends[group]; first += chunk)
      found.push_back({group, first, std::min(chunk, p.ends[group] - first), 0, p.out_features});
  const int64_t wanted = p.threads == 1 ? 1 : 4 * p.threads;  // enough that the last ones to finish cost little
  if (static_cast<int64_t>(found.size()) >= wanted) return found;
  std::vector<Piece> cut;
  const int64_t panels = blocks_in(p.out_features, kPanel);
  for (const Piece& whole : found) {
    const int64_t cuts = std::clamp<int64_t>(panels / 4, 1, wanted), wide = (panels + cuts - 1) / cuts * kPanel;
    for (int64_t c = 0; c < p.out_features; c += wide)
      cut.push_back({whole.group, whole.first, whole.rows, c, std::min(wide, p.out_features - c)});
  }
  return cut;
}

/// Rows of the largest group.
inline int64_t longest(const AssayGrouped& p) {
  int64_t found = 0;
  for (int64_t group = 0, start = 0; group < p.groups; start = p.ends[group++])
    found = std::max(found, p.ends[group] - start);
  return found;
}

template <typename T>
void grouped_multiply(const AssayGrouped& p) {
  static thread_local Scratch memory;
  constexpr int64_t tall = tile_rows<T, kPanel>();
  const int64_t inputs = blocks_in(p.in_features, kPanel) * kPanel, end = p.groups ? p.ends[p.groups - 1] : 0;
  const int64_t most = std::max(2 * chunk_rows<T, kPanel>(p.in_features), 16 * tall);
  const int64_t chunk = std::min(most, (longest(p) + tall - 1) / tall * tall);
  const std::vector<Piece> pieces = pieces_of<T>(p, chunk);
  const bool in_place = p.w_in == 1 || p.w_out == 1;
  const int64_t share = (chunk + kPanel) * inputs + kPanel;  // of one thread
  T* space = memory.take<T>(share * p.threads);
  if (!space) throw std::bad_alloc();
#pragma omp parallel num_threads(p.threads)
  {
    T* own = space + share * omp_get_thread_num();
    Workspace<T> mine{own, own + chunk * inputs, own + (chunk + kPanel) * inputs};
#pragma omp for schedule(dynamic)
    for (size_t i = 0; i < pieces.size(); i++)
      if (in_place && pieces[i].rows <= kFewRows)
        few_piece<T>(p, pieces[i]);
      else
        multiply_piece<T>(p, pieces[i], mine);
  }
  for (int64_t r = end; r < p.rows; r++) memset(static_cast<T*>(p.y) + r * p.y_stride, 0, p.out_features * sizeof(T));
}

/// w[group] = the group's rows of x, transposed, times its rows of y.
template <typename T>
void grouped_outer(const AssayGrouped& p) {
  static thread_local Scratch memory;
  constexpr int64_t B = kPanel, most = 512;  // rows of a chunk: two panels of it fit an L2 cache beside the sums
  const int64_t in_blocks = blocks_in(p.in_features, B), out_blocks = blocks_in(p.out_features, B);
  const int64_t chunk = std::min(longest(p), most), share = (in_blocks + out_blocks) * chunk * B + B * B;
  T* space = memory.take<T>(share * p.threads);
  if (!space) throw std::bad_alloc();
  const int64_t cuts = std::clamp<int64_t>(p.groups < 4 * p.threads && p.threads > 1 ? in_blocks / 4 : 1, 1, 16);
#pragma omp parallel num_threads(p.threads)
  {
    T* x = space + share * omp_get_thread_num();
    T* y = x + in_blocks * chunk * B;
    T* edge = y + out_blocks * chunk * B;
#pragma omp for schedule(dynamic)
    for (int64_t item = 0; item < p.groups * cuts; item++) {
      const int64_t group = item / cuts, b0 = in_blocks * (item % cuts) / cuts;
      const int64_t b1 = in_blocks * (item % cuts + 1) / cuts, begin = b0 * B;
      const int64_t start = group ? p.ends[group - 1] : 0, end = p.ends[group];
      T* out = static_cast<T*>(p.w) + group * p.w_group;
      const int64_t features = std::min(b1 * B, p.in_features) - begin;
      if (start == end)
        for (int64_t k = begin; k < begin + features; k++) memset(out + k * p.w_in, 0, p.out_features * sizeof(T));
      for (int64_t first = start; first < end; first += chunk) {
        const int64_t rows = std::min(chunk, end - first);
        pack<T, B>(static_cast<const T*>(p.x) + begin, p.x_stride, p.row_index, first, rows, rows, features, x);
        pack<T, B>(static_cast<const T*>(p.y), p.y_stride, nullptr, first, rows, rows, p.out_features, y);
        for (int64_t n = 0; n < out_blocks; n++)
          for (int64_t b = b0; b < b1; b++) {
            T* target = out + b * B * p.w_in + n * B;
            const int64_t high = std::min(B, p.in_features - b * B), wide = std::min(B, p.out_features - n * B);
            const bool whole = high == B && wide == B, add = first > start;
            gradient<T, B>(x + (b - b0) * rows * B, y + n * rows * B, rows, whole ? target : edge, whole ? p.w_in : B,
                           whole && add);
            for (int64_t i = 0; !whole && i < high; i++)
              for (int64_t j = 0; j < wide; j++)
                target[i * p.w_in + j] = add ? target[i * p.w_in + j] + edge[i * B + j] : edge[i * B + j];
          }
      }
    }
  }
}

}  // namespace assay
