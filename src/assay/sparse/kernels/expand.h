// Packed values back at their places: the next of `from` wherever a bit is set, zeros elsewhere.
//
// Always from a register after a whole load: on Zen 4 the forms of vexpandps that read memory are microcoded. The load
// may read up to a vector beyond the last value, so whoever calls this keeps that much memory readable.
#pragma once
#include "lanes.h"
#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace assay {

/// Columns that one expansion covers.
template <typename T>
constexpr int kExpanded = kVectorBytes / static_cast<int>(sizeof(T));

template <typename T>
inline Vector<T, kExpanded<T>> expand(const T* from, uint32_t bits) {
  T found[kExpanded<T>];
  for (int i = 0; i < kExpanded<T>; i++) {
    const uint32_t kept = bits >> i & 1;
    found[i] = kept ? *from : T(0);
    from += kept;
  }
  return load<T, kExpanded<T>>(found);
}

#if defined(__AVX512F__)
template <>
inline Vector<float, 16> expand<float>(const float* from, uint32_t bits) {
  return _mm512_maskz_expand_ps(static_cast<__mmask16>(bits), _mm512_loadu_ps(from));
}

template <>
inline Vector<double, 8> expand<double>(const double* from, uint32_t bits) {
  return _mm512_maskz_expand_pd(static_cast<__mmask8>(bits), _mm512_loadu_pd(from));
}
#elif defined(__AVX2__)
/// For every 8 bits and each lane: which value it takes, negative for none.
struct Places {
  int8_t of[256][8];
  constexpr Places() : of() {
    for (int bits = 0; bits < 256; bits++)
      for (int i = 0, next = 0; i < 8; i++) of[bits][i] = static_cast<int8_t>(bits >> i & 1 ? next++ : -1);
  }
};
inline constexpr Places kPlaces;

template <>
inline Vector<float, 8> expand<float>(const float* from, uint32_t bits) {
  const __m256i places = _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(kPlaces.of[bits])));
  const __m256 moved = _mm256_permutevar8x32_ps(_mm256_loadu_ps(from), places);
  return _mm256_blendv_ps(moved, _mm256_setzero_ps(), _mm256_castsi256_ps(places));
}
#endif

}  // namespace assay
