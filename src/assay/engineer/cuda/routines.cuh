// Matrix products and convolutions in single precision, on no tensor core: results are rounded as PyTorch's are where
// TF32 is not allowed. Long sums are carried on in parts, so that they do not lose what a single one would.
#pragma once
#include "prelude.cuh"

constexpr int kTileRows = 64, kTileColumns = 64, kTileTerms = 16, kEach = 4;  // of 256 threads, 4 x 4 results each
constexpr int kPart = 512;                                                    // terms of a partial sum

// c = a b for one of a batch, [m, k] x [k, n]; LEFT and RIGHT say that an operand lies transposed.
template <bool LEFT, bool RIGHT>
DEVICE void multiply(const float* a, const float* b, float* c, int64_t m, int64_t n, int64_t k) {
  __shared__ float left[kTileTerms][kTileRows + 4], right[kTileTerms][kTileColumns + 4];
  const int thread = threadIdx.x, row = thread / 16 * kEach, column = thread % 16 * kEach;
  const int64_t top = static_cast<int64_t>(blockIdx.y) * kTileRows, first = static_cast<int64_t>(blockIdx.x) * kTileColumns;
  float total[kEach][kEach] = {}, part[kEach][kEach] = {};
  for (int64_t start = 0; start < k; start += kTileTerms) {
    for (int i = thread; i < kTileTerms * kTileRows; i += 256) {
      const int r = LEFT ? i % kTileRows : i / kTileTerms, t = LEFT ? i / kTileRows : i % kTileTerms;
      const int64_t y = top + r, z = start + t;
      left[t][r] = y < m && z < k ? a[LEFT ? z * m + y : y * k + z] : 0.0f;
    }
    for (int i = thread; i < kTileTerms * kTileColumns; i += 256) {
      const int s = RIGHT ? i / kTileTerms : i % kTileColumns, t = RIGHT ? i % kTileTerms : i / kTileColumns;
      const int64_t x = first + s, z = start + t;
      right[t][s] = x < n && z < k ? b[RIGHT ? x * k + z : z * n + x] : 0.0f;
    }
    __syncthreads();
    for (int t = 0; t < kTileTerms; t++)
      for (int i = 0; i < kEach; i++)
        for (int j = 0; j < kEach; j++) part[i][j] = std::fma(left[t][row + i], right[t][column + j], part[i][j]);
    __syncthreads();
    if ((start + kTileTerms) % kPart == 0 || start + kTileTerms >= k)
      for (int i = 0; i < kEach; i++)
        for (int j = 0; j < kEach; j++) {
          total[i][j] += part[i][j];
          part[i][j] = 0.0f;
        }
  }
  for (int i = 0; i < kEach; i++)
    for (int j = 0; j < kEach; j++)
      if (top + row + i < m && first + column + j < n) c[(top + row + i) * n + first + column + j] = total[i][j];
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
