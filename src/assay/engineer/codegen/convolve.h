// Direct convolution. An image's planes lie flat, so that one tap of one channel is read by all outputs at the same
// distance: a matrix product whose rows are shifted views of the input, and nothing is unfolded. A tile of the outputs
// stays in registers over the whole sum. Outputs in between rows (where the window would wrap around) are computed with
// the others and left out when a tile is stored.
#pragma once
#include "tile.h"

namespace {

constexpr int64_t kChunk = 4 * kTile;  // outputs of a task
constexpr int64_t kChannels = 64;      // output channels whose sums are kept, in 12 KB of a first-level cache
constexpr int64_t kPart = 256;         // terms at a time: what they read of the input, some 24 KB, stays there too

struct Convolution {
  int64_t batch, groups, outs, terms;  // output channels of a group; terms of one output's sum
  int64_t batch_step, group_step;      // elements of the input from one image and one group to the next
  int64_t width, plane_rows;           // of the input as it lies
  int64_t out_planes, out_rows, out_width;
};

// Some of the terms of all channels' sums, `vectors` of outputs at a time; 0 stands for a single output.
inline void add_terms(int64_t channels, const float* weight, int64_t step, const float* input, const int64_t* at,
                      int64_t terms, int vectors, float* out) {
  if (vectors > 0) {
    tiles(channels, vectors, weight, step, input, [at](int64_t r) { return at[r]; }, terms, out, kTile);
    return;
  }
  for (int64_t m = 0; m < channels; m++) {
    for (int64_t r = 0; r < terms; r++) out[m * kTile] += weight[m * step + r] * input[at[r]];
  }
}

// `count` outputs of one channel from place `p` on, those between rows left out.
inline void store(const Convolution& c, const float* from, float* out, int64_t p, int64_t count) {
  int64_t row = p / c.width, w = p % c.width;
  for (int64_t i = 0; i < count; row++, w = 0) {
    const int64_t plane = row / c.plane_rows, h = row % c.plane_rows, run = std::min(count - i, c.width - w);
    if (w < c.out_width && h < c.out_rows) {
      float* to = out + (plane * c.out_rows + h) * c.out_width + w;
      memcpy(to, from + i, static_cast<size_t>(std::min(run, c.out_width - w)) * sizeof(float));
    }
    i += run;
  }
}

// All outputs [batch, groups * outs, planes, rows, width]; `bias` may be null, `weight` is [groups * outs, terms].
inline void convolve(Convolution c, const float* input, const float* weight, const float* bias, float* out,
                     const int64_t* at, int threads) {
  const int64_t places = c.out_planes * c.out_rows * c.out_width;
  if (places <= 0 || c.batch <= 0 || c.outs <= 0) return;
  if (c.width == c.out_width && c.plane_rows == c.out_rows) {  // nothing lies between rows
    c.width = c.out_width = places;
    c.plane_rows = c.out_rows = c.out_planes = 1;
  }
  // Rows by themselves where that leaves out more than it rounds up, else planes that are long enough for their last
  // tile not to matter: what lies between is not computed.
  const auto vectors_of = [](int64_t count) { return (count + kLanes - 1) / kLanes; };
  const int64_t plane = (c.out_rows - 1) * c.width + c.out_width;
  const bool by_rows = c.out_width >= 2 * kLanes && 21 * c.out_rows * vectors_of(c.out_width) < 20 * vectors_of(plane);
  const int64_t lines = by_rows ? c.out_rows : 1, apart = lines * (by_rows || plane >= kChunk ? c.out_planes : 1);
  const int64_t positions = by_rows ? c.out_width : plane + (c.out_planes / apart - 1) * c.plane_rows * c.width;
  const int64_t blocks = (c.outs + kChannels - 1) / kChannels, chunks = (positions + kChunk - 1) / kChunk;
  const int64_t images = c.batch * c.groups;
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int64_t task = 0; task < images * blocks * apart * chunks; task++) {
    const int64_t chunk = task % chunks, part = task / chunks % apart, all = task / chunks / apart;
    const int64_t block = all % blocks, image = all / blocks,
                  shift = (part / lines * c.plane_rows + part % lines) * c.width;
    const int64_t batch = image / c.groups, group = image % c.groups;
    const float* from = input + batch * c.batch_step + group * c.group_step + shift;
    const int64_t first = group * c.outs + block * kChannels,
                  channels = std::min(kChannels, c.outs - block * kChannels);
    const int64_t end = std::min((chunk + 1) * kChunk, positions);
    for (int64_t p = chunk * kChunk; p < end;) {
      // The last tile begins early enough to end with the last output: nothing beyond the input is read.
      const int64_t wanted = std::min<int64_t>(kVectors, (end - p + kLanes - 1) / kLanes);
      const int vectors = static_cast<int>(std::min(wanted, positions / kLanes));
      const int64_t covered = vectors > 0 ? vectors * kLanes : 1;
      const int64_t start = std::min(p, positions - covered);
      const int64_t count = std::min(end, start + covered) - p;
      alignas(64) float kept[kChannels * kTile];
      for (int64_t m = 0; m < channels; m++) {
        for (int i = 0; i < kTile; i++) kept[m * kTile + i] = bias ? bias[first + m] : 0.0f;
      }
      for (int64_t term = 0; term < c.terms; term += kPart) {
        const int64_t terms = std::min(kPart, c.terms - term);
        add_terms(channels, weight + first * c.terms + term, c.terms, from + start, at + term, terms, vectors, kept);
      }
      for (int64_t m = 0; m < channels; m++) {
        const int64_t channel = batch * c.groups * c.outs + first + m;
        store(c, kept + m * kTile + (p - start), out + channel * places, p + shift, count);
      }
      p += count;
    }
  }
}

}  // namespace
