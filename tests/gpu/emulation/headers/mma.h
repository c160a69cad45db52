// Tensor cores through wmma: every lane holds a slice of each matrix in the order of its elements, and reads the
// others' slices for a product. CUDA leaves the order open, so a kernel that depends on one is wrong on the GPU and may
// be right here.
#ifndef CUDA_ON_CPU_MMA_H
#define CUDA_ON_CPU_MMA_H

#include "cuda_bf16.h"
#include "cuda_on_cpu.h"

namespace nvcuda::wmma {

struct matrix_a {};
struct matrix_b {};
struct accumulator {};
struct row_major {};
struct col_major {};
namespace precision {
struct tf32 {};
}  // namespace precision
enum layout_t { mem_row_major, mem_col_major };

template <typename T>
struct storage {
  using type = T;
};
template <>
struct storage<precision::tf32> {
  using type = float;
};

inline float __float_to_tf32(float v) {
  if (v != v || v - v != 0.0f) return v;
  return __uint_as_float((__float_as_uint(v) + 0x1000u) & ~0x1fffu);
}

inline float widened(float v) {
  return v;
}
inline float widened(__nv_bfloat16 v) {
  return __bfloat162float(v);
}

template <typename Use, int m, int n, int k, typename T, typename Layout = void>
struct fragment {
  static constexpr int rows = std::is_same_v<Use, matrix_b> ? k : m;
  static constexpr int columns = std::is_same_v<Use, matrix_a> ? k : n;
  static constexpr int num_elements = rows * columns / 32;
  typename storage<T>::type x[num_elements];
};

template <typename Fragment, typename T>
void fill_fragment(Fragment& f, T value) {
  for (auto& element : f.x) element = value;
}

inline void check_pitch(const void* from, unsigned pitch, size_t bytes) {
  if (reinterpret_cast<size_t>(from) % 32 != 0 || pitch * bytes % 16 != 0)
    cuda_on_cpu::fail("a matrix of a fragment is misaligned");
}

template <typename Use, int m, int n, int k, typename T, typename Layout, typename Source>
void load_matrix_sync(fragment<Use, m, n, k, T, Layout>& f, const Source* from, unsigned pitch) {
  check_pitch(from, pitch, sizeof(Source));
  __syncwarp();
  for (int i = 0; i < f.num_elements; i++) {
    const int at = cuda_on_cpu::current->lane * f.num_elements + i, row = at / f.columns, column = at % f.columns;
    f.x[i] = std::is_same_v<Layout, col_major> ? from[column * pitch + row] : from[row * pitch + column];
  }
}

template <int m, int n, int k, typename T>
void store_matrix_sync(T* to, const fragment<accumulator, m, n, k, T>& f, unsigned pitch, layout_t layout) {
  check_pitch(to, pitch, sizeof(T));
  __syncwarp();
  for (int i = 0; i < f.num_elements; i++) {
    const int at = cuda_on_cpu::current->lane * f.num_elements + i, row = at / n, column = at % n;
    to[layout == mem_row_major ? row * pitch + column : column * pitch + row] = f.x[i];
  }
}

template <int m, int n, int k, typename T, typename LayoutA, typename LayoutB>
void mma_sync(fragment<accumulator, m, n, k, float>& d, const fragment<matrix_a, m, n, k, T, LayoutA>& a,
              const fragment<matrix_b, m, n, k, T, LayoutB>& b, const fragment<accumulator, m, n, k, float>& c) {
  const fragment<matrix_a, m, n, k, T, LayoutA>* left[32];
  const fragment<matrix_b, m, n, k, T, LayoutB>* right[32];
  for (int lane = 0; lane < 32; lane++) {
    left[lane] = __shfl_sync(0xffffffffu, &a, lane);
    right[lane] = __shfl_sync(0xffffffffu, &b, lane);
  }
  float sum[fragment<accumulator, m, n, k, float>::num_elements];
  for (int i = 0; i < d.num_elements; i++) {
    const int at = cuda_on_cpu::current->lane * d.num_elements + i, row = at / n, column = at % n;
    sum[i] = c.x[i];
    for (int inner = 0; inner < k; inner++) {
      const int of_a = row * k + inner, of_b = inner * n + column;
      sum[i] += widened(left[of_a / a.num_elements]->x[of_a % a.num_elements]) *
                widened(right[of_b / b.num_elements]->x[of_b % b.num_elements]);
    }
  }
  __syncwarp();  // the others have read this lane's slices
  for (int i = 0; i < d.num_elements; i++) d.x[i] = sum[i];
}

}  // namespace nvcuda::wmma

#endif
