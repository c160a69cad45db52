// Convolutions of 3 x 3 that move by one, through the minimal filtering of Winograd (Lavin & Gray, CVPR 2016): tiles of
// kOut x kOut outputs from as many products as their inputs have places, 2.25 (kOut = 2) or 4 (kOut = 4) times fewer.
#pragma once
#include "tile.h"

namespace {

template <int kOut>
struct Filtering;
template <>
struct Filtering<2> {
  static constexpr float input[4][4] = {{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, 1, 0, -1}};
  static constexpr float weight[4][3] = {{1, 0, 0}, {.5f, .5f, .5f}, {.5f, -.5f, .5f}, {0, 0, 1}};
  static constexpr float output[2][4] = {{1, 1, 1, 0}, {0, 1, -1, -1}};
};
// At the points 0, +-3/4, +-3/2 and infinity: with 64 channels of normal numbers it errs by 6e-6 of the root mean
// square, at the usual 0, +-1, +-2 by 2e-5, the direct sum by 1e-6.
template <>
struct Filtering<4> {
  static constexpr float input[6][6] = {
      {81 / 64.f, 0, -45 / 16.f, 0, 1, 0},       {0, -27 / 16.f, -9 / 4.f, 3 / 4.f, 1, 0},
      {0, 27 / 16.f, -9 / 4.f, -3 / 4.f, 1, 0},  {0, -27 / 32.f, -9 / 16.f, 3 / 2.f, 1, 0},
      {0, 27 / 32.f, -9 / 16.f, -3 / 2.f, 1, 0}, {0, 81 / 64.f, 0, -45 / 16.f, 0, 1}};
  static constexpr float weight[6][3] = {{64 / 81.f, 0, 0},
                                         {-128 / 243.f, -32 / 81.f, -8 / 27.f},
                                         {-128 / 243.f, 32 / 81.f, -8 / 27.f},
                                         {32 / 243.f, 16 / 81.f, 8 / 27.f},
                                         {32 / 243.f, -16 / 81.f, 8 / 27.f},
                                         {0, 0, 1}};
  static constexpr float output[4][6] = {{1, 1, 1, 1, 1, 0},
                                         {0, 3 / 4.f, -3 / 4.f, 3 / 2.f, -3 / 2.f, 0},
                                         {0, 9 / 16.f, 9 / 16.f, 9 / 4.f, 9 / 4.f, 0},
                                         {0, 27 / 64.f, -27 / 64.f, 27 / 8.f, -27 / 8.f, 1}};
};

constexpr int64_t kTilesAtOnce = 48;  // of the image: a panel of the products, whose sums lie in a second-level cache

struct Image {
  int64_t batch, channels, outs, rows, width, out_rows, out_width;  // rows and width of the input, borders included
};

// to = matrix * from, zeros of the matrix left out.
template <int kTo, int kFrom, typename Element>
inline void transform(const float (&matrix)[kTo][kFrom], const Element* from, int from_step, Element* to, int to_step) {
#pragma GCC unroll 6
  for (int i = 0; i < kTo; i++) {
    Element total = {};
#pragma GCC unroll 6
    for (int k = 0; k < kFrom; k++) {
      if (matrix[i][k] != 0) total = total + matrix[i][k] * from[k * from_step];
    }
    to[i * to_step] = total;
  }
}

// u[place][out][channel] from weight[out][channel][3][3], `kLanes` channels at a time.
template <int kOut>
inline void transform_weights(const Image& s, const float* weight, float* u, int threads) {
  constexpr int kIn = kOut + 2;
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int64_t o = 0; o < s.outs; o++) {
    for (int64_t c = 0; c < s.channels; c += kLanes) {
      const int64_t count = std::min<int64_t>(kLanes, s.channels - c);
      alignas(64) float taps[9 * kLanes] = {}, found[kLanes];
      for (int64_t lane = 0; lane < count; lane++) {
        for (int x = 0; x < 9; x++) taps[x * kLanes + lane] = weight[(o * s.channels + c + lane) * 9 + x];
      }
      Vector half[kIn * 3], whole[kIn * kIn];
      const Vector* given = reinterpret_cast<const Vector*>(taps);
      for (int x = 0; x < 3; x++) transform(Filtering<kOut>::weight, given + x, 3, half + x, 3);
      for (int y = 0; y < kIn; y++) transform(Filtering<kOut>::weight, half + y * 3, 1, whole + y * kIn, 1);
      for (int place = 0; place < kIn * kIn; place++) {
        *reinterpret_cast<Vector*>(found) = whole[place];
        memcpy(u + (place * s.outs + o) * s.channels + c, found, static_cast<size_t>(count) * sizeof(float));
      }
    }
  }
}

// v[place * step] for a line of tiles of one channel, `kLanes` at a time; some lanes may lie beyond the line.
template <int kOut>
inline void transform_line(const Image& s, const float* plane, int64_t top, int64_t tiles, float* lines, float* v,
                           int64_t step) {
  constexpr int kIn = kOut + 2;
  const int64_t room = (tiles + kLanes) / kLanes * kLanes + kLanes;  // of one phase of a row
  for (int y = 0; y < kIn; y++) {
    const float* row = plane + (top + y) * s.width;
    const int64_t count = top + y < s.rows ? s.width : 0;
    for (int q = 0; q < kOut; q++) {
      float* to = lines + (y * kOut + q) * room;
      const int64_t whole = count > q ? std::min((count - q + kOut - 1) / kOut, tiles + 1) : 0;
      for (int64_t t = 0; t < whole; t++) to[t] = row[t * kOut + q];
      for (int64_t t = whole; t < room; t++) to[t] = 0.0f;
    }
  }
  for (int64_t t = 0; t < tiles; t += kLanes) {
    Vector in[kIn], half[kIn * kIn], whole[kIn * kIn];
#pragma GCC unroll 6
    for (int y = 0; y < kIn; y++) {
#pragma GCC unroll 6
      for (int x = 0; x < kIn; x++) {
        in[x] = *reinterpret_cast<const Vector*>(lines + (y * kOut + x % kOut) * room + t + x / kOut);
      }
      transform(Filtering<kOut>::input, in, 1, half + y * kIn, 1);
    }
#pragma GCC unroll 6
    for (int x = 0; x < kIn; x++) transform(Filtering<kOut>::input, half + x, kIn, whole + x, kIn);
#pragma GCC unroll 36
    for (int place = 0; place < kIn * kIn; place++) *reinterpret_cast<Vector*>(v + place * step + t) = whole[place];
  }
}

// A line of tiles of one output channel from m[place * step].
template <int kOut>
inline void store_line(const Image& s, const float* m, int64_t step, int64_t top, int64_t tiles, float bias,
                       float* lines, float* plane) {
  constexpr int kIn = kOut + 2;
  const int64_t room = (tiles + kLanes - 1) / kLanes * kLanes;
  for (int64_t t = 0; t < tiles; t += kLanes) {
    Vector in[kIn], half[kOut * kIn], whole[kOut * kOut];
#pragma GCC unroll 6
    for (int x = 0; x < kIn; x++) {
#pragma GCC unroll 6
      for (int y = 0; y < kIn; y++) in[y] = *reinterpret_cast<const Vector*>(m + (y * kIn + x) * step + t);
      transform(Filtering<kOut>::output, in, 1, half + x, kIn);
    }
#pragma GCC unroll 4
    for (int y = 0; y < kOut; y++) transform(Filtering<kOut>::output, half + y * kIn, 1, whole + y * kOut, 1);
#pragma GCC unroll 16
    for (int i = 0; i < kOut * kOut; i++) *reinterpret_cast<Vector*>(lines + i * room + t) = whole[i] + bias;
  }
  for (int y = 0; y < kOut && top + y < s.out_rows; y++) {
    float* row = plane + (top + y) * s.out_width;
    const int64_t full = s.out_width / kOut;
    for (int64_t t = 0; t < full; t++) {
      for (int q = 0; q < kOut; q++) row[t * kOut + q] = lines[(y * kOut + q) * room + t];
    }
    for (int64_t w = full * kOut; w < s.out_width; w++) row[w] = lines[(y * kOut + w % kOut) * room + w / kOut];
  }
}

// m[outs, columns] = u[outs, channels] v[channels, columns]; rows of v and m are `step` apart.
inline void multiply_place(const Image& s, const float* u, const float* v, float* m, int64_t columns, int64_t step) {
  const auto place = [step](int64_t r) { return r * step; };
  for (int64_t column = 0, count; column < columns; column += count * kLanes) {
    count = std::min<int64_t>(kVectors, (columns - column) / kLanes);
    tiles<true>(s.outs, static_cast<int>(count), u, s.channels, v + column, place, s.channels, m + column, step);
  }
}

// All outputs [batch, outs, rows, width]; `bias` may be null, `weight` is [outs, channels, 3, 3]. Four slots of
// scratch.
template <int kOut>
inline void filter(const Image& s, const float* input, const float* weight, const float* bias, float* out, int slot,
                   int threads) {
  constexpr int kPlaces = (kOut + 2) * (kOut + 2);
  if (s.batch <= 0 || s.outs <= 0 || s.out_rows <= 0 || s.out_width <= 0) return;
  float* u = scratch<float>(slot, kPlaces * s.outs * s.channels);
  transform_weights<kOut>(s, weight, u, threads);
  const int64_t tiles = (s.out_width + kOut - 1) / kOut, lines = (s.out_rows + kOut - 1) / kOut;
  const int64_t at_once = std::max<int64_t>(1, kTilesAtOnce / tiles), blocks = (lines + at_once - 1) / at_once;
  const int64_t step = (at_once * tiles + kLanes - 1) / kLanes * kLanes;
  // A vector more between places: for the last line's overhang, and so that they do not share a set of the cache.
  const int64_t v_place = s.channels * step + kLanes, m_place = s.outs * step + kLanes;
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int64_t task = 0; task < s.batch * blocks; task++) {
    float* v = scratch<float>(slot + 1, kPlaces * v_place + kLanes);
    float* m = scratch<float>(slot + 2, kPlaces * m_place + kLanes);
    float* rows = scratch<float>(slot + 3, (kOut + 2) * kOut * (tiles + 3 * kLanes));
    const int64_t image = task / blocks, first = task % blocks * at_once, last = std::min(first + at_once, lines);
    for (int64_t c = 0; c < s.channels; c++) {
      const float* plane = input + (image * s.channels + c) * s.rows * s.width;
      for (int64_t line = first; line < last; line++) {
        transform_line<kOut>(s, plane, line * kOut, tiles, rows, v + c * step + (line - first) * tiles, v_place);
      }
    }
    const int64_t used = ((last - first) * tiles + kLanes - 1) / kLanes * kLanes;
    for (int place = 0; place < kPlaces; place++) {
      multiply_place(s, u + place * s.outs * s.channels, v + place * v_place, m + place * m_place, used, step);
    }
    for (int64_t o = 0; o < s.outs; o++) {
      float* plane = out + (image * s.outs + o) * s.out_rows * s.out_width;
      for (int64_t line = first; line < last; line++) {
        store_line<kOut>(s, m + o * step + (line - first) * tiles, m_place, line * kOut, tiles, bias ? bias[o] : 0.0f,
                         rows, plane);
      }
    }
  }
}

}  // namespace
