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

/// Block rows b0 .. b1 of one group's matrix, with memory for two packed chunks and a block.
template <typename T>
void outer_piece(const AssayGrouped& p, int64_t group, int64_t b0, int64_t b1, int64_t chunk, T* x) {
  constexpr int64_t B = kPanel;
  const int64_t start = group ? p.ends[group - 1] : 0, end = p.ends[group], begin = b0 * B;
  const int64_t features = std::min(b1 * B, p.in_features) - begin, out_blocks = blocks_in(p.out_features, B);
  T* out = static_cast<T*>(p.w) + group * p.w_group;
  if (start == end)
    for (int64_t k = begin; k < begin + features; k++) memset(out + k * p.w_in, 0, p.out_features * sizeof(T));
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
