// Transposed convolution with steps of one, from its inputs: a matrix product gives what each input contributes through
// each tap, and that is added where it belongs while it lies in the cache. Nothing is computed for the borders, which
// are most of a small image.
#pragma once
#include "multiply.h"

namespace {

constexpr int64_t kContributions = 256;  // rows of a product: output channels by taps, at least one channel
constexpr int64_t kInputs = 512;         // its columns; with 256 rows half a megabyte of a second-level cache

struct Spread {
  int64_t batch, groups, channels, outs;  // channels and output channels of a group
  int64_t in[3], window[3], pad[3], dilation[3], out[3];
};

template <int N>
inline void add(float* to, const float* from) {
  typedef float Several __attribute__((vector_size(N * sizeof(float)), aligned(sizeof(float)), may_alias));
  Several* sums = reinterpret_cast<Several*>(to);
  *sums = *sums + *reinterpret_cast<const Several*>(from);
}

// Adds the contributions of one channel through one tap, from input rows [row, row_end), to its output.
inline void spread_tap(const Spread& s, const int64_t (&tap)[3], const float* from, int64_t row, int64_t row_end,
                       float* out) {
  int64_t shift[3];
  for (int d = 0; d < 3; d++) shift[d] = tap[d] * s.dilation[d] - s.pad[d];
  const int64_t first = std::max<int64_t>(0, -shift[2]), last = std::min(s.in[2], s.out[2] - shift[2]);
  int64_t plane = row / s.in[1] + shift[0], line = row % s.in[1] + shift[1];
  const int64_t line_end = s.in[1] + shift[1];
  for (; row < row_end; row++, from += s.in[2]) {
    if (plane >= 0 && plane < s.out[0] && line >= 0 && line < s.out[1]) {
      float* to = out + (plane * s.out[1] + line) * s.out[2] + shift[2];
      int64_t x = first;
      for (; x + kLanes <= last; x += kLanes) add<kLanes>(to + x, from + x);
      for (; x + 4 <= last; x += 4) add<4>(to + x, from + x);
      for (; x < last; x++) to[x] += from[x];
    }
    if (++line == line_end) {
      line = shift[1];
      plane++;
    }
  }
}

// Output channels [out, out_end) of one image and group. `input` is [channels, in], `weight` is [channels, outs,
// window].
inline void spread_part(const Spread& s, const float* input, const float* weight, const float* bias, float* result,
                        int64_t out, int64_t out_end, int slot) {
  const int64_t taps = s.window[0] * s.window[1] * s.window[2], rows = s.in[0] * s.in[1];
  const int64_t places = s.out[0] * s.out[1] * s.out[2], some = std::max<int64_t>(1, kInputs / s.in[2]);
  float* kept = scratch<float>(slot + 2, (out_end - out) * taps * some * s.in[2]);
  for (int64_t o = out; o < out_end; o++) std::fill_n(result + o * places, places, bias ? bias[o] : 0.0f);
  for (int64_t row = 0; row < rows; row += some) {
    const int64_t end = std::min(rows, row + some), count = (end - row) * s.in[2];
    const Multiply sizes = {s.outs * taps, rows * s.in[2], s.channels, true, false, count};
    multiply_part(sizes, weight, input, kept - out * taps * count - row * s.in[2], out * taps, out_end * taps,
                  row * s.in[2], end * s.in[2], slot, Nothing());
    const float* from = kept;
    for (int64_t o = out; o < out_end; o++) {
      for (int64_t t = 0; t < taps; t++, from += count) {
        const int64_t tap[3] = {t / s.window[2] / s.window[1], t / s.window[2] % s.window[1], t % s.window[2]};
        spread_tap(s, tap, from, row, end, result + o * places);
      }
    }
  }
}

// All outputs [batch, groups * outs, out]; `bias` may be null.
inline void spread(const Spread& s, const float* input, const float* weight, const float* bias, float* out, int slot,
                   int threads) {
  const int64_t taps = s.window[0] * s.window[1] * s.window[2], plane = s.in[0] * s.in[1] * s.in[2];
  const int64_t places = s.out[0] * s.out[1] * s.out[2], images = s.batch * s.groups;
  const int64_t share = images >= threads ? s.outs : (s.outs * images + threads - 1) / threads;
  const int64_t some = std::max<int64_t>(1, std::min(kContributions / taps, share));
  const int64_t blocks = (s.outs + some - 1) / some;
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int64_t task = 0; task < images * blocks; task++) {
    const int64_t image = task / blocks, group = image % s.groups, first = task % blocks * some;
    spread_part(s, input + image * s.channels * plane, weight + group * s.channels * s.outs * taps,
                bias ? bias + group * s.outs : nullptr, out + image * s.outs * places, first,
                std::min(s.outs, first + some), slot);
  }
}

}  // namespace
