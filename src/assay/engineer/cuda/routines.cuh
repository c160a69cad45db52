// Matrix products and convolutions in single precision, on no tensor core: results are rounded as PyTorch's are where
// TF32 is not allowed. Long sums are carried on in parts, so that they do not lose what a single one would.
#pragma once
#include "prelude.cuh"

constexpr int kTileTerms = 16, kPart = 512;  // terms in shared memory at a time, and of a partial sum

// c = a b for one of a batch, [m, k] x [k, n]; LEFT and RIGHT say that an operand lies transposed. 256 threads have
// EACH x EACH results each, a tile of 16 EACH a side; LONG carries sums in parts.
template <bool LEFT, bool RIGHT, int EACH, bool LONG>
DEVICE void multiply(const float* a, const float* b, float* c, int64_t m, int64_t n, int64_t k) {
  constexpr int kTile = 16 * EACH;
  __shared__ __align__(16) float left[kTileTerms][kTile + 4], right[kTileTerms][kTile + 4];
  const int thread = threadIdx.x, row = thread / 16 * EACH, column = thread % 16 * EACH;
  const int64_t top = static_cast<int64_t>(blockIdx.y) * kTile, first = static_cast<int64_t>(blockIdx.x) * kTile;
  float total[LONG ? EACH : 1][EACH] = {}, part[EACH][EACH] = {};
  for (int64_t start = 0; start < k; start += kTileTerms) {
#pragma unroll
    for (int i = thread; i < kTileTerms * kTile; i += 256) {
      const int r = LEFT ? i % kTile : i / kTileTerms, t = LEFT ? i / kTile : i % kTileTerms;
      const int64_t y = top + r, z = start + t;
      left[t][r] = y < m && z < k ? a[LEFT ? z * m + y : y * k + z] : 0.0f;
    }
#pragma unroll
    for (int i = thread; i < kTileTerms * kTile; i += 256) {
      const int s = RIGHT ? i / kTileTerms : i % kTile, t = RIGHT ? i % kTileTerms : i / kTile;
      const int64_t x = first + s, z = start + t;
      right[t][s] = x < n && z < k ? b[RIGHT ? x * k + z : z * n + x] : 0.0f;
    }
    __syncthreads();
#pragma unroll
    for (int t = 0; t < kTileTerms; t++) {
      float mine[EACH], theirs[EACH];
#pragma unroll
      for (int i = 0; i < EACH; i++) mine[i] = left[t][row + i], theirs[i] = right[t][column + i];
#pragma unroll
      for (int i = 0; i < EACH; i++)
#pragma unroll
        for (int j = 0; j < EACH; j++) part[i][j] = std::fma(mine[i], theirs[j], part[i][j]);
    }
    __syncthreads();
    if (LONG && (start + kTileTerms) % kPart == 0) {
#pragma unroll
      for (int i = 0; i < EACH; i++)
#pragma unroll
        for (int j = 0; j < EACH; j++) total[LONG ? i : 0][j] += part[i][j], part[i][j] = 0.0f;
    }
  }
#pragma unroll
  for (int i = 0; i < EACH; i++)
#pragma unroll
    for (int j = 0; j < EACH; j++) {
      const int64_t y = top + row + i, x = first + column + j;
      if (y < m && x < n) c[y * n + x] = LONG ? total[LONG ? i : 0][j] + part[i][j] : part[i][j];
    }
}

constexpr int kOuts = 8;  // output channels of a thread: each element of the input that it reads serves so many

struct ConvolutionSizes {
  int64_t batch, groups, channels, outs, taps;  // channels and output channels of a group
  int64_t channel_step, rows, width;            // of the input as it lies, all borders included
  int64_t out[3];
};

// One output place, kOuts channels. `at` gives how far each tap lies from the first.
template <typename At>
DEVICE void convolve(const ConvolutionSizes& s, const float* input, const float* weight, const float* bias, float* out,
                     At at) {
  const int64_t places = s.out[0] * s.out[1] * s.out[2], place = static_cast<int64_t>(blockIdx.x) * 128 + threadIdx.x;
  if (place >= places) return;
  const int64_t image = blockIdx.z / s.groups, group = blockIdx.z % s.groups, first = blockIdx.y * kOuts;
  const int64_t w = place % s.out[2], h = place / s.out[2] % s.out[1], plane = place / s.out[2] / s.out[1];
  const float* from = input + (image * s.groups + group) * s.channels * s.channel_step + (plane * s.rows + h) * s.width + w;
  const int64_t terms = s.channels * s.taps, count = s.outs - first < kOuts ? s.outs - first : kOuts;
  const float* factors = weight + (group * s.outs + first) * terms;
  float total[kOuts] = {}, part[kOuts] = {};
  for (int64_t c = 0, term = 0; c < s.channels; c++)
    for (int64_t t = 0; t < s.taps; t++, term++) {
      const float value = from[c * s.channel_step + at(t)];
      for (int o = 0; o < kOuts; o++)
        if (o < count) part[o] = std::fma(value, factors[o * terms + term], part[o]);
      if ((term + 1) % kPart == 0 || term + 1 == terms)
        for (int o = 0; o < kOuts; o++) {
          total[o] += part[o];
          part[o] = 0.0f;
        }
    }
  for (int o = 0; o < kOuts; o++)
    if (o < count) {
      const int64_t channel = group * s.outs + first + o;
      out[(image * s.groups * s.outs + channel) * places + place] = total[o] + (bias ? bias[channel] : 0.0f);
    }
}

struct SpreadSizes {
  int64_t batch, groups, channels, outs;  // channels and output channels of a group
  int64_t in[3], window[3], pad[3], dilation[3], out[3];
};

// Transposed convolution with steps of one: one output place, kOuts channels, from all inputs that reach it.
DEVICE void spread(const SpreadSizes& s, const float* input, const float* weight, const float* bias, float* out) {
  const int64_t places = s.out[0] * s.out[1] * s.out[2], place = static_cast<int64_t>(blockIdx.x) * 128 + threadIdx.x;
  if (place >= places) return;
  const int64_t image = blockIdx.z / s.groups, group = blockIdx.z % s.groups, first = blockIdx.y * kOuts;
  const int64_t at[3] = {place / s.out[2] / s.out[1], place / s.out[2] % s.out[1], place % s.out[2]};
  const int64_t taps = s.window[0] * s.window[1] * s.window[2], inputs = s.in[0] * s.in[1] * s.in[2];
  const int64_t count = s.outs - first < kOuts ? s.outs - first : kOuts;
  float total[kOuts] = {}, part[kOuts] = {};
  for (int64_t c = 0, term = 0; c < s.channels; c++) {
    const float* from = input + ((image * s.groups + group) * s.channels + c) * inputs;
    const float* factors = weight + ((group * s.channels + c) * s.outs + first) * taps;
    for (int64_t t = 0; t < taps; t++, term++) {
      const int64_t tap[3] = {t / s.window[2] / s.window[1], t / s.window[2] % s.window[1], t % s.window[2]};
      int64_t where = 0;
      bool reaches = true;
      for (int d = 0; d < 3; d++) {
        const int64_t one = at[d] + s.pad[d] - tap[d] * s.dilation[d];
        reaches = reaches && one >= 0 && one < s.in[d];
        where = where * s.in[d] + one;
      }
      const float value = reaches ? from[where] : 0.0f;
      for (int o = 0; o < kOuts; o++)
        if (o < count) part[o] = std::fma(value, factors[o * taps + t], part[o]);
      if ((term + 1) % kPart == 0 || term + 1 == s.channels * taps)
        for (int o = 0; o < kOuts; o++) {
          total[o] += part[o];
          part[o] = 0.0f;
        }
    }
  }
  for (int o = 0; o < kOuts; o++)
    if (o < count) {
      const int64_t channel = group * s.outs + first + o;
      out[(image * s.groups * s.outs + channel) * places + place] = total[o] + (bias ? bias[channel] : 0.0f);
    }
}
