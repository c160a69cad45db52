// Functions that generated kernels call: arithmetic as PyTorch defines it, and what the threads of a block do together.
#pragma once
#include <cmath>
#include <cstdint>
#include <limits>

#define DEVICE __device__ __forceinline__

template <typename T>
DEVICE T exp_(T x) {
  return std::exp(x);
}
template <typename T>
DEVICE T expm1_(T x) {
  return std::expm1(x);
}
template <typename T>
DEVICE T log_(T x) {
  return std::log(x);
}
template <typename T>
DEVICE T log1p_(T x) {
  return std::log1p(x);
}
template <typename T>
DEVICE T tanh_(T x) {
  return std::tanh(x);
}
template <typename T>
DEVICE T erf_(T x) {
  return std::erf(x);
}
template <typename T>
DEVICE T sign_(T x) {
  return static_cast<T>((x > 0) - (x < 0));
}
// NaN where either is.
template <typename T>
DEVICE T max_(T a, T b) {
  return a != a ? a : a > b ? a : b;
}
template <typename T>
DEVICE T min_(T a, T b) {
  return a != a ? a : a < b ? a : b;
}
// The sign is the divisor's.
template <typename T>
DEVICE T remainder_(T a, T b) {
  T m = std::fmod(a, b);
  return m != 0 && (m < 0) != (b < 0) ? m + b : m;
}
template <>
DEVICE int64_t remainder_(int64_t a, int64_t b) {
  int64_t m = a % b;
  return m != 0 && (m < 0) != (b < 0) ? m + b : m;
}

// Reductions. A NaN among what is compared stays: `b > a` would drop it.
struct Sum {
  template <typename T>
  static DEVICE T of(T a, T b) {
    return a + b;
  }
};
struct Prod {
  template <typename T>
  static DEVICE T of(T a, T b) {
    return a * b;
  }
};
struct Max {
  template <typename T>
  static DEVICE T of(T a, T b) {
    return max_(a, b);
  }
};
struct Min {
  template <typename T>
  static DEVICE T of(T a, T b) {
    return min_(a, b);
  }
};

// Over a row's threads: blockDim.x of them, a multiple of 32. Every one gets the result, and all of a block must call.
template <typename Op, typename T>
DEVICE T combine_row(T value) {
  __shared__ T partial[32];
  for (int distance = 16; distance > 0; distance /= 2)
    value = Op::of(value, __shfl_xor_sync(0xffffffffu, value, distance));
  const int warps = blockDim.x / 32, first = threadIdx.y * warps;
  if (warps == 1) return value;
  __syncthreads();  // what the reduction before left has been read by all
  if (threadIdx.x % 32 == 0) partial[first + threadIdx.x / 32] = value;
  __syncthreads();
  value = partial[first];
  for (int i = 1; i < warps; i++) value = Op::of(value, partial[first + i]);
  return value;
}

// Over a column's threads: blockDim.y of them, a power of two. Every one gets the result, and all of a block must call.
template <typename Op, typename T>
DEVICE T combine_column(T value) {
  __shared__ T kept[1024];
  if (blockDim.y == 1) return value;
  const int at = threadIdx.y * blockDim.x + threadIdx.x;
  __syncthreads();
  kept[at] = value;
  for (int half = blockDim.y / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.y < half) kept[at] = Op::of(kept[at], kept[at + half * blockDim.x]);
  }
  __syncthreads();
  return kept[threadIdx.x];
}

// What a row's threads have before them, their own included, on top of `carry`, which moves on by all of them.
template <typename Op, typename T>
DEVICE T scan_row(T value, T& carry) {
  __shared__ T partial[32];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32, first = threadIdx.y * warps;
  for (int distance = 1; distance < 32; distance *= 2) {
    T before = __shfl_up_sync(0xffffffffu, value, distance);
    if (lane >= distance) value = Op::of(before, value);
  }
  __syncthreads();
  if (lane == 31) partial[first + warp] = value;
  __syncthreads();
  T all = carry;
  for (int i = 0; i < warps; i++) {
    if (i == warp) value = Op::of(all, value);
    all = Op::of(all, partial[first + i]);
  }
  carry = all;
  return value;
}
