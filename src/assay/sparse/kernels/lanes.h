// The vectors of the instruction set that this translation unit is compiled for, as GCC's portable vector types.
#pragma once
#include <cstdint>
#include <cstring>

namespace assay {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64, kRegisters = 32;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32, kRegisters = 16;
#else
constexpr int kVectorBytes = 16, kRegisters = 16;
#endif

/// Lanes of a vector that covers `width` elements or a whole number of times fits into them.
template <typename T>
constexpr int lanes(int width) {
  constexpr int most = kVectorBytes / static_cast<int>(sizeof(T));
  return width < most ? width : most;
}

template <typename T, int N>
struct VectorOf {
  typedef T type __attribute__((vector_size(N * sizeof(T))));
};
template <typename T, int N>
using Vector = typename VectorOf<T, N>::type;

/// N elements from memory without alignment, widened to T where they are stored in a smaller type.
template <typename T, int N, typename W>
inline Vector<T, N> load(const W* from) {
  Vector<W, N> found;
  memcpy(&found, from, sizeof found);
  if constexpr (sizeof(W) == sizeof(T))
    return found;
  else
    return __builtin_convertvector(found, Vector<T, N>);
}

template <typename T, int N>
inline void store(T* to, Vector<T, N> value) {
  memcpy(to, &value, sizeof value);
}

}  // namespace assay
