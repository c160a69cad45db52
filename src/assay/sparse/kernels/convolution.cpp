// Convolutions whose kernels have zeros anywhere: a weight that is kept adds its plane of x, shifted, to a plane of y.
//
// An image is copied into planes with its border of zeros, for a stride s into s x s planes of every s-th row and
// column. There y is computed as if its rows were as long as theirs: then a weight is one addend for a run of memory
// without ends of rows in between, and what lies beyond the rows' own length is not copied to y. A ReLU and a max
// pooling that follow are done to the sums before they leave the first cache.
#include <omp.h>

#include <algorithm>
#include <new>

#include "lanes.h"
#include "packing.h"
#include "pooling.h"

extern "C" {
/// Mirrored by convolution_ops.py. Images are [channels][height][width] side by side; out_height and out_width are
/// those of the convolution, of which y holds one row and column for `pool` of them.
struct AssayConvolution {
  int64_t images, in_channels, height, width, out_channels, out_height, out_width, kept;
  int64_t kernel_height, kernel_width, stride, top, left, dilation, pool;
  const void* x;
  void* y;
  const int64_t* row_starts;  // [out_channels + 1]
  const uint16_t* columns;    // [kept], of [in_channels][kernel_height][kernel_width]
  const void* values;         // [kept]
  const void* bias;           // [out_channels] or null
  int32_t kind;               // 0: float32, 1: float64
  int32_t relu;
  int32_t threads;
};
}

namespace assay {
namespace {

/// Vectors of a run of y that are summed up at once: as many as stay in registers beside a weight.
constexpr int kTile = kRegisters == 32 ? 14 : 12;
constexpr int kWide = 1 << 10;        // asks `lanes` for a whole vector
constexpr int64_t kCopies = 1 << 20;  // bytes of copied images that stay in the second cache

int64_t divided(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

/// Elements of a tile.
template <typename T>
constexpr int64_t kTileLength = kTile * lanes<T>(kWide);

/// Elements of a channel of y.
int64_t pooled_size(const AssayConvolution& p) {
  return (p.out_height / p.pool) * (p.out_width / p.pool);
}

/// The planes that an image is copied into.
struct Planes {
  int64_t rows, pitch, phase, channel, all;

  explicit Planes(const AssayConvolution& p) {
    const int64_t s = p.stride;
    rows = p.out_height + (p.kernel_height - 1) * p.dilation / s;
    pitch = p.out_width + (p.kernel_width - 1) * p.dilation / s;
    phase = rows * pitch;
    channel = phase * s * s;
    all = channel * p.in_channels;
  }
};

int64_t named_columns(const AssayConvolution& p) {
  return divided(p.in_channels * p.kernel_height * p.kernel_width, 64) * 64;
}

/// Where in the planes each weight's first addend lies: of every column, and then of those that are kept. (Divided out
/// for each weight, they took longer than the sums.)
void find_offsets(const AssayConvolution& p, const Planes& planes, int64_t* columns, int64_t* kept) {
  const int64_t s = p.stride;
  int64_t* to = columns;
  for (int64_t channel = 0; channel < p.in_channels; channel++)
    for (int64_t y = 0; y < p.kernel_height * p.dilation; y += p.dilation)
      for (int64_t x = 0; x < p.kernel_width * p.dilation; x += p.dilation)
        *to++ = channel * planes.channel + (y % s * s + x % s) * planes.phase + y / s * planes.pitch + x / s;
  std::fill(to, columns + named_columns(p), 0);  // a mask can name columns up to the end of its last word
  for (int64_t j = 0; j < p.kept; j++) kept[j] = columns[p.columns[j]];
}

template <typename T>
void copy_image(const AssayConvolution& p, const Planes& planes, const T* x, T* to) {
  const int64_t s = p.stride;
  for (int64_t plane = 0; plane < p.in_channels * s * s; plane++) {
    const int64_t channel = plane / (s * s), down = plane / s % s, across = plane % s;
    for (int64_t row = 0; row < planes.rows; row++, to += planes.pitch) {
      const int64_t y = row * s + down - p.top, first = across - p.left;
      if (y < 0 || y >= p.height) {
        std::fill_n(to, planes.pitch, T(0));
        continue;
      }
      const T* from = x + (channel * p.height + y) * p.width;
      const int64_t begin = std::min(planes.pitch, first < 0 ? divided(-first, s) : 0),
                    end = std::max(begin, std::min(planes.pitch, divided(p.width - first, s)));
      std::fill_n(to, begin, T(0));
      if (s == 1)
        std::copy_n(from + begin + first, end - begin, to + begin);
      else
        for (int64_t i = begin; i < end; i++) to[i] = from[i * s + first];
      std::fill_n(to + end, planes.pitch - end, T(0));
    }
  }
}

/// One output channel over N vectors of a run.
template <typename T, int N>
void sum_up(const T* x, const int64_t* offsets, const T* values, int64_t count, T bias, bool relu, T* to) {
  constexpr int L = lanes<T>(kWide);
  Vector<T, L> sums[N];
  for (int v = 0; v < N; v++) sums[v] = Vector<T, L>{} + bias;
  for (int64_t j = 0; j < count; j++) {
    const T* from = x + offsets[j];
    const Vector<T, L> weight = Vector<T, L>{} + values[j];
#pragma GCC unroll 16
    for (int v = 0; v < N; v++) sums[v] += weight * load<T, L>(from + v * L);
  }
  if (relu)
    for (int v = 0; v < N; v++) sums[v] = sums[v] <= 0 ? Vector<T, L>{} : sums[v];  // NaN stays
  for (int v = 0; v < N; v++) store<T, L>(to + v * L, sums[v]);
}

template <typename T, int N = kTile>
void sum_up_some(int vectors, const T* x, const int64_t* offsets, const T* values, int64_t count, T bias, bool relu,
                 T* to) {
  if constexpr (N > 1)
    if (vectors < N) return sum_up_some<T, N - 1>(vectors, x, offsets, values, count, bias, relu, to);
  sum_up<T, N>(x, offsets, values, count, bias, relu, to);
}

/// The part of a run from `first` on that lies within y's rows.
template <typename T>
void copy_run(const AssayConvolution& p, const Planes& planes, const T* run, int64_t first, int64_t count, T* y) {
  for (int64_t at = first; at < first + count;) {
    const int64_t row = at / planes.pitch, column = at % planes.pitch;
    const int64_t left = std::min(planes.pitch - column, first + count - at);
    if (column < p.out_width)
      std::copy_n(run + (at - first), std::min(left, p.out_width - column), y + row * p.out_width + column);
    at += left;
  }
}

/// The same for a run of whole windows: of each its largest element, collected in `pooled` first.
template <typename T>
void pool_run(const AssayConvolution& p, const Planes& planes, const T* run, int64_t first, int64_t count, T* pooled,
              T* y) {
  const int64_t width = p.out_width / p.pool, rows = divided(count, planes.pitch);
  if (p.pool == 2)
    pool_pairs<T, lanes<T>(kWide)>(run, rows, planes.pitch, width, pooled);
  else
    pool_rows(run, rows, planes.pitch, p.pool, width, pooled);
  std::copy_n(pooled, rows / p.pool * width, y + first / planes.pitch / p.pool * width);
}

/// Runs of y, by length: a tile, or with pooling the windows' rows that fit into one, one row of windows at least. What
/// a thread collects takes `room` for the sums, and `room` once more where they are pooled.
template <typename T>
struct Runs {
  int64_t whole, each, count, room, all;

  Runs(const AssayConvolution& p, const Planes& planes) {
    constexpr int64_t tile = kTileLength<T>;
    whole = (p.out_height / p.pool * p.pool - 1) * planes.pitch + p.out_width;
    each = p.pool == 1 ? tile : std::max<int64_t>(1, tile / planes.pitch / p.pool) * p.pool * planes.pitch;
    count = divided(whole, each);
    room = divided(each, tile) * tile + tile;
    all = p.pool == 1 ? room : 2 * room;
  }
};

/// Every channel of one image over one run.
template <typename T>
void sum_run(const AssayConvolution& p, const Planes& planes, const Runs<T>& runs, const T* copy,
             const int64_t* offsets, int64_t first, T* sums, T* y) {
  constexpr int L = lanes<T>(kWide);
  const T *values = static_cast<const T*>(p.values), *bias = static_cast<const T*>(p.bias);
  const int64_t out_size = pooled_size(p), count = std::min(runs.each, runs.whole - first);
  for (int64_t channel = 0; channel < p.out_channels; channel++, y += out_size) {
    const int64_t begin = p.row_starts[channel], kept = p.row_starts[channel + 1] - begin;
    for (int64_t done = 0; done < count; done += kTileLength<T>) {
      const int vectors = static_cast<int>(std::min<int64_t>(kTile, divided(count - done, L)));
      sum_up_some<T>(vectors, copy + first + done, offsets + begin, values + begin, kept, bias ? bias[channel] : T(0),
                     p.relu != 0, sums + done);
    }
    if (p.pool == 1)
      copy_run(p, planes, sums, first, count, y);
    else
      pool_run(p, planes, sums, first, count, sums + runs.room, y);
  }
}

template <typename T>
void convolve(const AssayConvolution& p) {
  static thread_local Scratch offset_memory, copy_memory, sum_memory;
  constexpr int64_t tile = kTileLength<T>;
  const Planes planes(p);
  const Runs<T> runs(p, planes);
  const int64_t room = planes.all + tile;  // the last vectors read beyond the last plane
  const int64_t fit = kCopies / (room * static_cast<int64_t>(sizeof(T)));
  const int64_t group = std::min(p.images, std::max<int64_t>(fit, p.threads));
  int64_t* offsets = offset_memory.take<int64_t>(p.kept + named_columns(p));
  T* copies = copy_memory.take<T>(group * room);
  T* sums = sum_memory.take<T>(p.threads * runs.all);
  if (!offsets || !copies || !sums) throw std::bad_alloc();
  find_offsets(p, planes, offsets + p.kept, offsets);
  const int64_t in_size = p.in_channels * p.height * p.width, out_size = p.out_channels * pooled_size(p);
  for (int64_t begin = 0; begin < p.images; begin += group) {
    const T* x = static_cast<const T*>(p.x) + begin * in_size;
    T* y = static_cast<T*>(p.y) + begin * out_size;
    const int64_t images = std::min(group, p.images - begin);
#pragma omp parallel num_threads(p.threads)
    {
#pragma omp for
      for (int64_t i = 0; i < images; i++) {
        copy_image(p, planes, x + i * in_size, copies + i * room);
        std::fill_n(copies + i * room + planes.all, tile, T(0));
      }
#pragma omp for collapse(2)
      for (int64_t i = 0; i < images; i++)
        for (int64_t number = 0; number < runs.count; number++)
          sum_run(p, planes, runs, copies + i * room, offsets, number * runs.each,
                  sums + omp_get_thread_num() * runs.all, y + i * out_size);
    }
  }
}

}  // namespace
}  // namespace assay

extern "C" {

/// y = x convolved, plus bias, at will with ReLU and pooled. 0, 2 where memory is short, or 3 for another number of
/// values than the rows hold.
int assay_sparse_convolution(const AssayConvolution* p) {
  if (p->row_starts[p->out_channels] != p->kept) return 3;
  try {
    p->kind == 1 ? assay::convolve<double>(*p) : assay::convolve<float>(*p);
    return 0;
  } catch (const std::bad_alloc&) {
    return 2;
  }
}
}
