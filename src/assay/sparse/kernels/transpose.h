// Squares of vectors transposed in registers, and vectors summed four at a time.
#pragma once
#include <type_traits>
#include <utility>

#include "lanes.h"

namespace assay {

template <typename T, int N>
using Numbers = Vector<std::conditional_t<sizeof(T) == 8, int64_t, int32_t>, N>;

/// Rows i and i + S exchange squares of S lanes across the diagonal; the masks must be constants for one instruction.
template <typename T, int L, int S, int... l>
inline void exchange(Vector<T, L> (&rows)[L], std::integer_sequence<int, l...>) {
  constexpr Numbers<T, L> upper = {(l & S ? L + l - S : l)...}, lower = {(l & S ? L + l : l + S)...};
#pragma GCC unroll 16
  for (int i = 0; i < L; i++)
    if (!(i & S)) {
      const Vector<T, L> first = rows[i], second = rows[i + S];
      rows[i] = __builtin_shuffle(first, second, upper);
      rows[i + S] = __builtin_shuffle(first, second, lower);
    }
}

/// rows[i][j] becomes rows[j][i], in log2(L) rounds.
template <typename T, int L, int S = 1>
inline void transpose_square(Vector<T, L> (&rows)[L]) {
  if constexpr (S < L) {
    exchange<T, L, S>(rows, std::make_integer_sequence<int, L>());
    transpose_square<T, L, 2 * S>(rows);
  }
}

/// Lane l of the result: part[l / S % 2] (of either) summed over lanes that differ in bit S.
template <typename T, int L, int S, int... l>
inline Vector<T, L> fold(Vector<T, L> even, Vector<T, L> odd, std::integer_sequence<int, l...>) {
  constexpr Numbers<T, L> upper = {(l & S ? L + l - S : l)...}, lower = {(l & S ? L + l : l + S)...};
  return __builtin_shuffle(even, odd, upper) + __builtin_shuffle(even, odd, lower);
}

/// The sums of each of two vectors' lanes (L = 2) or of four vectors' (more), in order.
template <typename T, int L>
inline void sums_of_four(const Vector<T, L> (&parts)[4], T (&out)[4]) {
  constexpr auto all = std::make_integer_sequence<int, L>();
  Vector<T, L> first = fold<T, L, 1>(parts[0], parts[1], all), second = fold<T, L, 1>(parts[2], parts[3], all);
  if constexpr (L == 2) {
    for (int i = 0; i < 2; i++) out[i] = first[i], out[2 + i] = second[i];
  } else {
    Vector<T, L> sum = fold<T, L, 2>(first, second, all);
    if constexpr (L > 4) sum = fold<T, L, 4>(sum, sum, all);
    if constexpr (L > 8) sum = fold<T, L, 8>(sum, sum, all);
    for (int i = 0; i < 4; i++) out[i] = sum[i];
  }
}

}  // namespace assay
