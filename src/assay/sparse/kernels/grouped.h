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
#include "panel.h"

namespace assay {

struct Piece {
  int64_t group, first, rows, column, columns;
};

/// Columns of w as a panel [in][32], with zeros beyond the columns.
template <typename T>
void pack_columns(const Matrix<T>& w, int64_t in_features, int64_t columns, T* panel) {
  constexpr int L = lanes<T>(kPanel);
  int64_t done = 0;  // inputs packed by whole squares or rows
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
  } else {
    memset(panel, 0, in_features * kPanel * sizeof(T));
  }
  for (int64_t k = done; k < in_features; k++)
    for (int64_t c = 0; c < columns; c++) panel[k * kPanel + c] = w.values[k * w.in_stride + c * w.out_stride];
}

/// The panel at `values`, to be fetched while `tiles` tiles are computed.
template <typename T>
Ahead fetch_panel(const T* values, int64_t in_stride, int64_t out_stride, int64_t in_features, int64_t tiles) {
  const int64_t size = sizeof(T),
                blocks = blocks_in(in_features, kPanel) * (kPanel / lanes<T>(kPanel) / tile_vectors<T, kPanel>());
  const bool inputs_adjoin = in_stride == 1;
  const int64_t lines = ((inputs_adjoin ? in_features : kPanel) * size + 63) / 64;
  const int64_t rows = inputs_adjoin ? kPanel : in_features;
  return {reinterpret_cast<const char*>(values), (inputs_adjoin ? out_stride : in_stride) * size, lines, rows,
          (lines * rows + blocks * tiles - 1) / std::max<int64_t>(blocks * tiles, 1)};
}

/// One thread's memory.
template <typename T>
struct Workspace {
  T* panels;                  // a piece's packed rows, which pieces of the same rows share
  T* weights;                 // a panel of weights
  T* lines;                   // finished rows of a tile or of few rows on their way to an indexed y
  T* bias;                    // a panel's bias
  int64_t packed_first = -1;  // the rows that `panels` hold start here
};

/// A piece's rows of y that stand in `lines`, scaled and added where they belong.
template <typename T>
void add_lines(const AssayGrouped& p, int64_t first, int64_t rows, int64_t column, int64_t columns, const T* lines,
               int64_t stride) {
  const T* scales = static_cast<const T*>(p.scales);
  for (int64_t r = 0; r < rows; r++) {
    T* target = static_cast<T*>(p.y) + p.y_index[first + r] * p.y_stride + column;
    const T* line = lines + r * stride;
    const T scale = scales ? scales[first + r] : T(1);
    for (int64_t c = 0; c < columns; c++) target[c] += scale * line[c];
  }
}

/// Where the panel after column c stands: the next one of this group, or the next group's first.
template <typename T>
const T* panel_after(const AssayGrouped& p, const Piece& piece, int64_t c) {
  const T* w = static_cast<const T*>(p.w) + piece.group * p.w_group;
  return c + kPanel < piece.column + piece.columns ? w + (c + kPanel) * p.w_out
                                                   : w + p.w_group + piece.column * p.w_out;
}

template <typename T>
void multiply_piece(const AssayGrouped& p, const Piece& piece, Workspace<T>& space) {
  const int64_t height = packed_height<T, kPanel>(piece.rows), tiles = blocks_in(piece.rows, tile_rows<T, kPanel>());
  if (space.packed_first != piece.first) {
    pack<T, kPanel>(static_cast<const T*>(p.x), p.x_stride, p.x_index, piece.first, piece.rows, height, p.in_features,
                    space.panels);
    space.packed_first = piece.first;
  }
  const T* w = static_cast<const T*>(p.w) + piece.group * p.w_group;
  const T* bias = p.bias ? static_cast<const T*>(p.bias) + piece.group * p.bias_group : nullptr;
  const T* scales = p.scales ? static_cast<const T*>(p.scales) + piece.first : nullptr;
  T* y = static_cast<T*>(p.y) + (p.y_index ? 0 : piece.first * p.y_stride);
  for (int64_t c = piece.column; c < piece.column + piece.columns; c += kPanel) {
    const int64_t columns = std::min<int64_t>(kPanel, piece.column + piece.columns - c);
    pack_columns<T>({w + c * p.w_out, p.w_in, p.w_out}, p.in_features, columns, space.weights);
    if (bias) memcpy(space.bias, bias + c, columns * sizeof(T));
    Ahead ahead = fetch_panel<T>(panel_after<T>(p, piece, c), p.w_in, p.w_out, p.in_features, tiles);
    const Sink<T> sink{
        y + c, p.y_stride, columns, p.y_index ? p.y_index + piece.first : nullptr, scales, bias ? space.bias : nullptr};
    multiply_panel<T>(space.panels, piece.rows, height, p.in_features, space.weights, sink, ahead);
  }
}

template <typename T>
void few_piece(const AssayGrouped& p, const Piece& piece, Workspace<T>& space) {
  const Rows<T> x{static_cast<const T*>(p.x) + (p.x_index ? 0 : piece.first * p.x_stride), p.x_stride,
                  p.x_index ? p.x_index + piece.first : nullptr};
  const Matrix<T> w{static_cast<const T*>(p.w) + piece.group * p.w_group + piece.column * p.w_out, p.w_in, p.w_out};
  const T* bias = p.bias ? static_cast<const T*>(p.bias) + piece.group * p.bias_group + piece.column : nullptr;
  T* y = p.y_index ? space.lines : static_cast<T*>(p.y) + piece.first * p.y_stride + piece.column;
  const int64_t stride = p.y_index ? piece.columns : p.y_stride;
  few<T>(x, piece.rows, p.in_features, w, piece.columns, y, stride);
  for (int64_t r = 0; bias && r < piece.rows; r++)
    for (int64_t c = 0; c < piece.columns; c++) y[r * stride + c] += bias[c];
  if (p.y_index) add_lines<T>(p, piece.first, piece.rows, piece.column, piece.columns, y, stride);
}

template <typename T>
void run_piece(const AssayGrouped& p, const Piece& piece, Workspace<T>& space) {
  if (is_few<T>({static_cast<const T*>(p.w), p.w_in, p.w_out}, piece.rows))
    few_piece<T>(p, piece, space);
  else
    multiply_piece<T>(p, piece, space);
}

/// Every group's rows cut into chunks of at most `chunk`, with all columns.
inline std::vector<Piece> row_pieces(const AssayGrouped& p, int64_t chunk) {
  std::vector<Piece> found;
  for (int64_t group = 0, start = 0; group < p.groups; start = p.ends[group++])
    for (int64_t first = start; first < p.ends[group]; first += chunk)
      found.push_back({group, first, std::min(chunk, p.ends[group] - first), 0, p.out_features});
  return found;
}

/// The same cut by columns where they are few for the threads, into four or more panels each.
inline std::vector<Piece> cut_for_threads(const AssayGrouped& p, std::vector<Piece> pieces) {
  const int64_t wanted = p.threads == 1 ? 1 : 4 * p.threads;  // enough that the last ones to finish cost little
  if (static_cast<int64_t>(pieces.size()) >= wanted) return pieces;
  std::vector<Piece> cut;
  const int64_t panels = blocks_in(p.out_features, kPanel);
  const int64_t cuts = std::clamp<int64_t>(panels / 4, 1, wanted), wide = (panels + cuts - 1) / cuts * kPanel;
  for (const Piece& whole : pieces)
    for (int64_t c = 0; c < p.out_features; c += wide)
      cut.push_back({whole.group, whole.first, whole.rows, c, std::min(wide, p.out_features - c)});
  return cut;
}

/// Rows of the largest group.
inline int64_t longest(const AssayGrouped& p) {
  int64_t found = 0;
  for (int64_t group = 0, start = 0; group < p.groups; start = p.ends[group++])
    found = std::max(found, p.ends[group] - start);
  return found;
}

/// Without y_index rows beyond the last group become zero. With it, groups may add to the same row of y: each thread
/// then has columns of its own, so that sums have one order whatever the number of threads.
template <typename T>
void grouped_multiply(const AssayGrouped& p) {
  static thread_local Scratch memory;
  constexpr int64_t tall = tile_rows<T, kPanel>();
  const int64_t panels = blocks_in(p.out_features, kPanel), inputs = blocks_in(p.in_features, kPanel) * kPanel;
  const int64_t most = std::max(2 * chunk_rows<T, kPanel>(p.in_features), 16 * tall);
  const int64_t chunk = std::min(most, (longest(p) + tall - 1) / tall * tall);
  std::vector<Piece> pieces = row_pieces(p, chunk);
  if (!p.y_index) pieces = cut_for_threads(p, std::move(pieces));
  const int64_t lines = p.y_index ? kFewRows * panels * kPanel : 0;
  const int64_t share = (chunk + kPanel) * inputs + lines + kPanel;  // of one thread
  T* space = memory.take<T>(share * p.threads);
  if (!space) throw std::bad_alloc();
#pragma omp parallel num_threads(p.threads)
  {
    const int64_t part = omp_get_thread_num(), parts = omp_get_num_threads();
    T* own = space + share * part;
    Workspace<T> mine{own, own + chunk * inputs, own + (chunk + kPanel) * inputs, own + share - kPanel};
    if (p.y_index) {
      const int64_t c0 = panels * part / parts * kPanel;
      const int64_t c1 = std::min(panels * (part + 1) / parts * kPanel, p.out_features);
      for (size_t i = 0; i < pieces.size() && c0 < c1; i++)
        run_piece<T>(p, {pieces[i].group, pieces[i].first, pieces[i].rows, c0, c1 - c0}, mine);
    } else {
#pragma omp for schedule(dynamic)
      for (size_t i = 0; i < pieces.size(); i++) run_piece<T>(p, pieces[i], mine);
    }
  }
  const int64_t end = p.groups ? p.ends[p.groups - 1] : 0;
  for (int64_t r = end; !p.y_index && r < p.rows; r++)
    memset(static_cast<T*>(p.y) + r * p.y_stride, 0, p.out_features * sizeof(T));
}

}  // namespace assay
