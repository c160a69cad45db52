// The gradient of grouped products' matrices: every group's rows of x, transposed, times its rows of y.
#pragma once
#include "grouped.h"

namespace assay {

/// Where a group's sums go: a block of w, through `edge` where the block is not whole.
template <typename T>
void outer_block(const AssayGrouped& p, const T* x, const T* y, int64_t rows, int64_t b, int64_t n, T* out, T* edge,
                 bool add) {
  constexpr int64_t B = kPanel;
  T* target = out + b * B * p.w_in + n * B;
  const int64_t high = std::min(B, p.in_features - b * B), wide = std::min(B, p.out_features - n * B);
  if (high == B && wide == B) return gradient<T, B>(x, y, rows, target, p.w_in, add);
  gradient<T, B>(x, y, rows, edge, B, false);
  for (int64_t i = 0; i < high; i++)
    for (int64_t j = 0; j < wide; j++)
      target[i * p.w_in + j] = add ? target[i * p.w_in + j] + edge[i * B + j] : edge[i * B + j];
}

/// The sums of R rows of x and y for inputs begin .. begin + features, written as one stream.
template <typename T, int R>
void few_outer(const T* const (&x)[R], const T* const (&y)[R], int64_t features, int64_t out_features, T* out,
               int64_t stride) {
  constexpr int L = lanes<T>(64);
  for (int64_t k = 0; k < features; k++, out += stride) {
    int64_t n = 0;
    for (; n + L <= out_features; n += L) {
      Vector<T, L> sum = x[0][k] * load<T, L>(y[0] + n);
#pragma GCC unroll 4
      for (int r = 1; r < R; r++) sum += x[r][k] * load<T, L>(y[r] + n);
      store<T, L>(out + n, sum);
    }
    for (; n < out_features; n++) {
      out[n] = x[0][k] * y[0][n];
      for (int r = 1; r < R; r++) out[n] += x[r][k] * y[r][n];
    }
  }
}

template <typename T>
void few_outer_piece(const AssayGrouped& p, int64_t first, int64_t rows, int64_t begin, int64_t features, T* out) {
  with_constant<kFewRows>(rows, [&](auto some) {
    constexpr int R = decltype(some)::value;
    const T *x[R], *y[R];
    for (int r = 0; r < R; r++) {
      x[r] = static_cast<const T*>(p.x) + (p.x_index ? p.x_index[first + r] : first + r) * p.x_stride + begin;
      y[r] = static_cast<const T*>(p.y) + (p.y_index ? p.y_index[first + r] : first + r) * p.y_stride;
    }
    few_outer<T, R>(x, y, features, p.out_features, out, p.w_in);
  });
}

/// Block rows b0 .. b1 of one group's matrix, with memory for two packed chunks and a block. w is contiguous.
template <typename T>
void outer_piece(const AssayGrouped& p, int64_t group, int64_t b0, int64_t b1, int64_t chunk, T* x) {
  constexpr int64_t B = kPanel;
  const int64_t start = group ? p.ends[group - 1] : 0, end = p.ends[group], begin = b0 * B;
  const int64_t features = std::min(b1 * B, p.in_features) - begin, out_blocks = blocks_in(p.out_features, B);
  T* out = static_cast<T*>(p.w) + group * p.w_group;
  if (start == end) memset(out + begin * p.w_in, 0, features * p.w_in * sizeof(T));
  if (start < end && end - start <= kFewRows)
    return few_outer_piece<T>(p, start, end - start, begin, features, out + begin * p.w_in);
  T* y = x + (b1 - b0) * chunk * B;
  T* edge = y + out_blocks * chunk * B;
  for (int64_t first = start; first < end; first += chunk) {
    const int64_t rows = std::min(chunk, end - first);
    pack<T, B>(static_cast<const T*>(p.x) + begin, p.x_stride, p.x_index, first, rows, rows, features, x);
    pack<T, B>(static_cast<const T*>(p.y), p.y_stride, p.y_index, first, rows, rows, p.out_features, y);
    for (int64_t n = 0; n < out_blocks; n++)
      for (int64_t b = b0; b < b1; b++)
        outer_block<T>(p, x + (b - b0) * rows * B, y + n * rows * B, rows, b, n, out, edge, first > start);
  }
}

template <typename T>
void grouped_outer(const AssayGrouped& p) {
  static thread_local Scratch memory;
  constexpr int64_t B = kPanel, most = 512;  // rows of a chunk: two panels of it fit an L2 cache beside the sums
  const int64_t in_blocks = blocks_in(p.in_features, B), out_blocks = blocks_in(p.out_features, B);
  const int64_t chunk = std::min(longest(p), most), share = (in_blocks + out_blocks) * chunk * B + B * B;
  const int64_t cuts = p.threads > 1 && p.groups < 4 * p.threads ? std::clamp<int64_t>(in_blocks / 4, 1, 16) : 1;
  T* space = memory.take<T>(share * p.threads);
  if (!space) throw std::bad_alloc();
#pragma omp parallel for schedule(dynamic) num_threads(p.threads)
  for (int64_t item = 0; item < p.groups * cuts; item++) {
    const int64_t part = item % cuts, b0 = in_blocks * part / cuts, b1 = in_blocks * (part + 1) / cuts;
    outer_piece<T>(p, item / cuts, b0, b1, chunk, space + share * omp_get_thread_num());
  }
}

}  // namespace assay
