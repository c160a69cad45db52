// Matrix products. Each thread has a rectangle of the result and copies what it needs of both operands into blocks that
// lie as the tiles read them; there is nothing to wait for. The right operand is copied once, the left one block by
// block.
#pragma once
#include "tile.h"

namespace {

constexpr int64_t kTerms = 192;             // of all sums at a time: a panel of the right operand takes 36 KB
constexpr int64_t kTermStep = kTerms + 16;  // no power of two, which would put all rows into one set of a cache
constexpr int64_t kBlock = 128;             // rows at a time: 100 KB of the left operand
constexpr int64_t kWorthThreads = 1 << 17;  // multiplications, some 2 us of one core; waking a thread takes as long

struct Multiply {
  int64_t m, n, k;
  bool left_turned, right_turned;  // lies as [k, m], as [n, k]
  int64_t step = 0;                // from one row of the result to the next, where that is not n
};

typedef int Numbers __attribute__((vector_size(kLanes * sizeof(int))));

// out[j][i] = in[i][j] for kLanes each way: the halves are interleaved row by row, log2(kLanes) times.
inline void turn(const float* in, int64_t step, float* out, int64_t out_step) {
  Vector rows[kLanes], mixed[kLanes];
  Numbers low, high;
  for (int i = 0; i < kLanes; i++) {
    low[i] = i / 2 + (i % 2) * kLanes;
    high[i] = low[i] + kLanes / 2;
  }
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; i++) rows[i] = *reinterpret_cast<const Vector*>(in + i * step);
#pragma GCC unroll 4
  for (int stage = 1; stage < kLanes; stage *= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < kLanes / 2; i++) {
      mixed[2 * i] = __builtin_shuffle(rows[i], rows[i + kLanes / 2], low);
      mixed[2 * i + 1] = __builtin_shuffle(rows[i], rows[i + kLanes / 2], high);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; i++) rows[i] = mixed[i];
  }
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; i++) *reinterpret_cast<Vector*>(out + i * out_step) = rows[i];
}

// to[j * step + i] = from[i * from_step + j] for rows i and columns j.
inline void turn_all(const float* from, int64_t from_step, int64_t rows, int64_t columns, float* to, int64_t step) {
  for (int64_t i = 0; i < rows; i += kLanes) {
    int64_t j = 0;
    if (i + kLanes <= rows) {
      for (; j + kLanes <= columns; j += kLanes) turn(from + i * from_step + j, from_step, to + j * step + i, step);
    }
    for (; j < columns; j++) {
      for (int64_t l = i; l < std::min(i + kLanes, rows); l++) to[j * step + l] = from[l * from_step + j];
    }
  }
}

inline void copy_all(const float* from, int64_t from_step, int64_t rows, int64_t columns, float* to, int64_t step) {
  for (int64_t i = 0; i < rows; i++) {
    for (int64_t j = 0; j < columns; j++) to[i * step + j] = from[i * from_step + j];
  }
}

// to[i * kTermStep + r]: some rows and terms of the left operand.
inline void pack_left(const float* a, const Multiply& s, int64_t row, int64_t rows, int64_t term, int64_t terms,
                      float* __restrict to) {
  if (s.left_turned) {
    turn_all(a + term * s.m + row, s.m, terms, rows, to, kTermStep);
  } else {
    copy_all(a + row * s.k + term, s.k, rows, terms, to, kTermStep);
  }
}

// to[r * width + j]: some terms and columns of the right operand, zeros where it has fewer columns.
inline void pack_right(const float* b, const Multiply& s, int64_t column, int64_t width, int64_t term, int64_t terms,
                       float* __restrict to) {
  const int64_t columns = std::min(width, s.n - column);
  if (s.right_turned) {
    turn_all(b + column * s.k + term, s.k, columns, terms, to, width);
  } else {
    copy_all(b + term * s.n + column, s.n, terms, columns, to, width);
  }
  for (int64_t r = 0; r < terms; r++) {
    for (int64_t j = columns; j < width; j++) to[r * width + j] = 0.0f;
  }
}

// Some terms of a panel of the result, which begins with them or goes on; `columns` may be fewer than `vectors` hold.
inline void fill_panel(const float* left, int64_t rows, const float* right, int64_t terms, bool begins, float* out,
                       int64_t step, int vectors, int64_t columns) {
  const int64_t width = vectors * kLanes;
  alignas(64) float edge[kBlock * kTile];
  float* to = columns < width ? edge : out;
  const int64_t to_step = columns < width ? width : step;
  if (begins) {
    for (int64_t i = 0; i < rows; i++) std::fill_n(to + i * to_step, width, 0.0f);
  } else if (to == edge) {
    copy_all(out, step, rows, columns, edge, width);
  }
  const auto place = [width](int64_t r) { return r * width; };
  tiles(rows, vectors, left, kTermStep, right, place, terms, to, to_step);
  if (to == edge) copy_all(edge, width, rows, columns, out, step);
}

// Does nothing with a panel whose sums are complete.
struct Nothing {
  void operator()(int64_t, int64_t, int64_t, int64_t) const {}
};

// Rows [row, row_end) by columns [column, column_end) of c = a b, through memory of this thread. `finish` is told the
// first row, rows, first column and columns of each panel that is complete and lies in the cache.
template <typename Finish>
inline void multiply_part(const Multiply& s, const float* a, const float* b, float* c, int64_t row, int64_t row_end,
                          int64_t column, int64_t column_end, int slot, const Finish& finish) {
  const int64_t vectors = (column_end - column + kLanes - 1) / kLanes;
  const int64_t step = s.step ? s.step : s.n;
  if (row >= row_end || vectors <= 0) return;
  float* left = scratch<float>(slot, kBlock * kTermStep);
  float* right = scratch<float>(slot + 1, vectors * kLanes * s.k);
  for (int64_t top = row; top < row_end; top += kBlock) {
    const int64_t rows = std::min(kBlock, row_end - top);
    for (int64_t term = 0; term == 0 || term < s.k; term += kTerms) {
      const int64_t terms = std::min(kTerms, s.k - term);
      pack_left(a, s, top, rows, term, terms, left);
      float* panel = right + vectors * kLanes * term;
      for (int64_t done = 0, count; done < vectors; done += count, panel += count * kLanes * terms) {
        // Two and two instead of three and one: a lone vector waits for its own sums.
        count = vectors - done == 4 ? 2 : std::min<int64_t>(kVectors, vectors - done);
        const int64_t first = column + done * kLanes, columns = std::min(count * kLanes, column_end - first);
        if (top == row) pack_right(b, s, first, count * kLanes, term, terms, panel);
        fill_panel(left, rows, panel, terms, term == 0, c + top * step + first, step, static_cast<int>(count), columns);
        if (term + kTerms >= s.k) finish(top, rows, first, columns);
      }
    }
  }
}

// c = a b, [batch, m, n], on the calling thread.
inline void multiply_alone(const Multiply& s, const float* a, const float* b, float* c, int slot) {
  multiply_part(s, a, b, c, 0, s.m, 0, s.n, slot, Nothing());
}

// c = a b for each of a batch, whose rows are numbered through. The columns are divided among threads first: the right
// operand is the dearer one to copy.
template <typename Finish = Nothing>
inline void multiply(const Multiply& s, int64_t batch, const float* a, const float* b, float* c, int slot, int threads,
                     const Finish& finish = Finish()) {
  const int64_t vectors = (s.n + kLanes - 1) / kLanes, parts = batch >= 4 * threads ? 1 : threads;
  const int64_t across = std::max<int64_t>(1, std::min(parts, vectors / kVectors));
  const int64_t down = std::max<int64_t>(1, parts / across);
  const int64_t columns = (vectors + across - 1) / across * kLanes;
  const int64_t rows = ((s.m + down - 1) / down + kRows - 1) / kRows * kRows;
#pragma omp parallel for schedule(static) num_threads(threads) if (batch * s.m * s.n * s.k > kWorthThreads)
  for (int64_t task = 0; task < batch * across * down; task++) {
    const int64_t one = task / (across * down), x = task % across, y = task / across % down;
    multiply_part(s, a + one * s.m * s.k, b + one * s.k * s.n, c + one * s.m * s.n, y * rows,
                  std::min(s.m, (y + 1) * rows), x * columns, std::min(s.n, (x + 1) * columns), slot,
                  [&](int64_t top, int64_t height, int64_t first, int64_t width) {
                    finish(one * s.m + top, height, first, width);
                  });
  }
}

}  // namespace
