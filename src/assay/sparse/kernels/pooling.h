// Max pooling of rows that are still in the first cache.
#pragma once
#include "lanes.h"

namespace assay {

/// The larger one, or NaN where one of them is: of numbers, and lane by lane of vectors.
template <typename V>
inline V greater(V a, V b) {
  return (b > a) | (b != b) ? b : a;
}

/// Of rows in a row's pitch the largest element of each pool x pool window; `pooled` has rows of `width` windows.
template <typename T>
void pool_rows(const T* rows, int64_t count, int64_t pitch, int64_t pool, int64_t width, T* pooled) {
  for (int64_t row = 0; row < count; row += pool, rows += pool * pitch, pooled += width)
    for (int64_t x = 0; x < width; x++) {
      T found = rows[x * pool];
      for (int64_t down = 0; down < pool; down++)
        for (int64_t across = 0; across < pool; across++)
          found = greater(found, rows[down * pitch + x * pool + across]);
      pooled[x] = found;
    }
}

/// The same for windows of 2 x 2, L at a time: reads up to 2 L elements beyond the last row and writes up to L beyond
/// the last window. Four times as fast as the loops over each.
template <typename T, int L>
void pool_pairs(const T* rows, int64_t count, int64_t pitch, int64_t width, T* pooled) {
  using Lane = decltype(Vector<T, L>{} > Vector<T, L>{});
  Lane even, odd;
  for (int l = 0; l < L; l++) even[l] = 2 * l, odd[l] = 2 * l + 1;
  for (int64_t row = 0; row < count; row += 2, rows += 2 * pitch, pooled += width)
    for (int64_t x = 0; x < width; x += L) {
      const T* at = rows + 2 * x;
      const Vector<T, L> a = greater(load<T, L>(at), load<T, L>(at + pitch)),
                         b = greater(load<T, L>(at + L), load<T, L>(at + pitch + L));
      store<T, L>(pooled + x, greater<Vector<T, L>>(__builtin_shuffle(a, b, even), __builtin_shuffle(a, b, odd)));
    }
}

}  // namespace assay
