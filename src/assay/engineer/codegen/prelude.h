// Functions that generated kernels call. They have no branches, so that loops over them become vectors.
#pragma once
#include <assay/kernel.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace {

template <typename T, typename U>
inline T bits(U value) {
  static_assert(sizeof(T) == sizeof(U), "same size");
  return __builtin_bit_cast(T, value);
}

// e^x within 1 unit in the last place: x = n ln 2 + r, and a Taylor polynomial of degree 7 on |r| <= ln 2 / 2.
inline float exp_(float x) {
  bool gone = x < -104.0f;  // kept out of the arithmetic: results too small for normal numbers take 100 cycles each
  float limited = gone ? 0.0f : x > 89.0f ? 89.0f : x;
  float n = __builtin_rintf(limited * 1.44269504088896341f);
  float r = __builtin_fmaf(n, -0.693145751953125f, limited);
  r = __builtin_fmaf(n, -1.42860682030941723212e-6f, r);
  float p = 1.0f / 5040;
  p = __builtin_fmaf(p, r, 1.0f / 720);
  p = __builtin_fmaf(p, r, 1.0f / 120);
  p = __builtin_fmaf(p, r, 1.0f / 24);
  p = __builtin_fmaf(p, r, 1.0f / 6);
  p = __builtin_fmaf(p, r, 0.5f);
  p = __builtin_fmaf(p, r * r, r) + 1.0f;
  int32_t exponent = static_cast<int32_t>(n);
  // The exponent is added to in two steps, for results below the smallest normal number. Of a NaN all of it is one.
  int32_t half = exponent >> 1;
  float scaled = bits<float>(bits<int32_t>(p) + (half << 23)) * bits<float>((exponent - half + 127) << 23);
  return gone ? 0.0f : scaled;
}

// e^x - 1 without the loss near 0.
inline float expm1_(float x) {
  float near =
      x *
      __builtin_fmaf(
          x,
          __builtin_fmaf(
              x, __builtin_fmaf(x, __builtin_fmaf(x, __builtin_fmaf(x, 1.0f / 720, 1.0f / 120), 1.0f / 24), 1.0f / 6),
              0.5f),
          1.0f);
  float away = exp_(x) - 1.0f;
  return (x < 0 ? -x : x) < 0.35f ? near : away;
}

// The natural logarithm: x = 2^n m with m in [0.7, 1.4], and 2 atanh(s), s = (m - 1) / (m + 1); the polynomial is a
// least-squares fit at 400 Chebyshev nodes, to 2e-11.
inline float log_(float x) {
  bool tiny = x < 1.17549435e-38f;
  float lifted = tiny ? x * 8388608.0f : x;
  int32_t raw = bits<int32_t>(lifted);
  int32_t n = (raw - 0x3f330000) >> 23;
  float m = bits<float>(raw - (n << 23));
  float f = m - 1.0f, s = f / (m + 1.0f), z = s * s;
  float p = __builtin_fmaf(z, 0.232993901f, 0.285523295f);
  p = __builtin_fmaf(z, p, 0.400001019f);
  p = __builtin_fmaf(z, p, 0.666666687f);
  float n_ = static_cast<float>(n) - (tiny ? 23.0f : 0.0f);
  // log m = f - s (f - z p), which loses nothing near 1
  float small = __builtin_fmaf(-s, f - z * p, f);
  float found = __builtin_fmaf(n_, 0.693145751953125f, __builtin_fmaf(n_, 1.42860682030941723212e-6f, small));
  found = x == 0.0f ? -INFINITY : found;
  found = x < 0.0f ? NAN : found;
  return x == INFINITY || x != x ? x : found;
}

// log(1 + x), corrected for what 1 + x rounds away.
inline float log1p_(float x) {
  float u = 1.0f + x;
  float correction = (x - (u - 1.0f)) / u;
  float found = log_(u) + (u == INFINITY ? 0.0f : correction);
  return x == INFINITY ? x : (u == 1.0f ? x : found);
}

inline float tanh_(float x) {
  float a = x < 0 ? -x : x;
  float e = expm1_(-2.0f * a);
  float t = -e / (2.0f + e);
  return x != x ? x : __builtin_copysignf(t, x);
}

// The error function below 0.93: a polynomial in x^2, fitted by least squares at 400 Chebyshev nodes.
inline float erf_near_(float x) {
  float z = x * x;
  float p = 8.33997183e-05f;
  p = __builtin_fmaf(p, z, -0.000813607476f);
  p = __builtin_fmaf(p, z, 0.00520050153f);
  p = __builtin_fmaf(p, z, -0.0268592108f);
  p = __builtin_fmaf(p, z, 0.112836927f);
  p = __builtin_fmaf(p, z, -0.376126349f);
  p = __builtin_fmaf(p, z, 0.128379166f);
  return __builtin_fmaf(x, p, x);
}

// The error function within 1.6 half units in the last place: near 0 as above, and from 0.93 on 1 - exp(q(|x|)), fitted
// in the same way.
inline float erf_(float x) {
  float a = x < 0 ? -x : x, near = erf_near_(x);
  float b = a < 4.0f ? a : 4.0f;  // erf(4) is 1 in single precision
  float q = -4.87353759e-07f;
  q = __builtin_fmaf(q, b, -1.46707468e-05f);
  q = __builtin_fmaf(q, b, 0.000398126402f);
  q = __builtin_fmaf(q, b, -0.0040558381f);
  q = __builtin_fmaf(q, b, 0.0248952657f);
  q = __builtin_fmaf(q, b, -0.108005993f);
  q = __builtin_fmaf(q, b, -0.63355273f);
  q = __builtin_fmaf(q, b, -1.12942815f);
  q = __builtin_fmaf(q, b, 0.000158921291f);
  float far = __builtin_copysignf(1.0f - exp_(q), x);
  return a < 0.93f || x != x ? near : far;
}

// The error function in half the time, within 1.9 units in the last place and 1.1e-7: near 0 as above, and
// from 0.93 on 1 less a polynomial for what is missing, fitted by least squares at 4000 Chebyshev nodes.
// Near -1, where a GELU adds 1 to it, it errs by 7e-8, twice the rounding of the result itself.
inline float erf_loose_(float x) {
  float a = x < 0 ? -x : x, near = erf_near_(a);
  float b = a < 3.9f ? a : 3.9f;
  float t = __builtin_fmaf(b, 0.6734007f, -1.6262627f);
  float q = 0.000126402316f;
  q = __builtin_fmaf(q, t, 0.000984418672f);
  q = __builtin_fmaf(q, t, -0.00270666578f);
  q = __builtin_fmaf(q, t, -0.00180587661f);
  q = __builtin_fmaf(q, t, 0.0116872545f);
  q = __builtin_fmaf(q, t, -0.0124043413f);
  q = __builtin_fmaf(q, t, -0.00495289173f);
  q = __builtin_fmaf(q, t, 0.0331511609f);
  q = __builtin_fmaf(q, t, -0.0549476594f);
  q = __builtin_fmaf(q, t, 0.0560352616f);
  q = __builtin_fmaf(q, t, -0.0385125503f);
  q = __builtin_fmaf(q, t, 0.0176206343f);
  q = __builtin_fmaf(q, t, -0.00491210166f);
  q = __builtin_fmaf(q, t, 0.000637016667f);
  float found = a < 0.93f ? near : a > 3.9f ? 1.0f : 1.0f - q;
  return x != x ? x : __builtin_copysignf(found, x);
}

inline double exp_(double x) {
  return std::exp(x);
}
inline double expm1_(double x) {
  return std::expm1(x);
}
inline double log_(double x) {
  return std::log(x);
}
inline double log1p_(double x) {
  return std::log1p(x);
}
inline double tanh_(double x) {
  return std::tanh(x);
}
inline double erf_(double x) {
  return std::erf(x);
}
inline double erf_loose_(double x) {
  return std::erf(x);
}

template <typename T>
inline T sign_(T x) {
  return static_cast<T>((x > 0) - (x < 0));
}
// NaN where either is. The choice between numbers is one instruction, and nobody has to guess a branch on it.
template <typename T>
inline T max_(T a, T b) {
  T most = a > b ? a : b;
  return a != a ? a : most;
}
template <typename T>
inline T min_(T a, T b) {
  T least = a < b ? a : b;
  return a != a ? a : least;
}
inline float remainder_(float a, float b) {
  float m = std::fmod(a, b);
  return m != 0 && (m < 0) != (b < 0) ? m + b : m;
}
inline double remainder_(double a, double b) {
  double m = std::fmod(a, b);
  return m != 0 && (m < 0) != (b < 0) ? m + b : m;
}
inline int64_t remainder_(int64_t a, int64_t b) {
  int64_t m = a % b;
  return m != 0 && (m < 0) != (b < 0) ? m + b : m;
}

// Memory of this thread that outlives calls: slot by slot, grown where it is too small.
constexpr int kSlots = 1024;
struct Scratch {
  void* memory[kSlots] = {};
  size_t bytes[kSlots] = {};
  ~Scratch() {
    for (void* one : memory) free(one);
  }
};
template <typename T>
inline T* scratch(int slot, int64_t count) {
  static thread_local Scratch mine;
  size_t wanted = (static_cast<size_t>(count > 0 ? count : 1) * sizeof(T) + 127) / 64 * 64;
  if (mine.bytes[slot] < wanted) {
    free(mine.memory[slot]);
    mine.memory[slot] = aligned_alloc(64, wanted);
    mine.bytes[slot] = mine.memory[slot] ? wanted : 0;
  }
  return static_cast<T*>(mine.memory[slot]);
}

// Asks for memory that will be read.
template <typename T>
inline void prefetch(const T* from, int64_t count) {
  const char* bytes = reinterpret_cast<const char*>(from);
  for (size_t at = 0; at < static_cast<size_t>(count) * sizeof(T); at += 64) __builtin_prefetch(bytes + at);
}

// Copies to memory that nobody reads soon: past the caches, so that a line is not read before it is overwritten.
template <typename T>
inline void stream(T* to, const T* from, int64_t count) {
  int64_t i = 0;
#if defined(__AVX512F__)
  constexpr int64_t step = 64 / sizeof(T);
  for (; i < count && reinterpret_cast<uintptr_t>(to + i) % 64 != 0; i++) to[i] = from[i];
  for (; i + step <= count; i += step) {
    _mm512_stream_si512(reinterpret_cast<__m512i*>(to + i), _mm512_loadu_si512(from + i));
  }
  _mm_sfence();
#elif defined(__AVX2__)
  constexpr int64_t step = 32 / sizeof(T);
  for (; i < count && reinterpret_cast<uintptr_t>(to + i) % 32 != 0; i++) to[i] = from[i];
  for (; i + step <= count; i += step) {
    _mm256_stream_si256(reinterpret_cast<__m256i*>(to + i),
                        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i)));
  }
  _mm_sfence();
#endif
  for (; i < count; i++) to[i] = from[i];
}

}  // namespace
