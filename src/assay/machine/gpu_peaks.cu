// What a GPU was ever seen to do: bytes per second, and operations per second by type. Our own code, run by our own
// launcher like any device code. `count` is in elements of 16 bytes; every thread of a compute kernel does
// `rounds` x 8 independent operations, so that nothing waits for a result.
#include <cstdint>
#ifdef __CUDACC__
#include <mma.h>
#endif

struct alignas(16) Four {
  float x, y, z, w;
};

extern "C" __global__ void read_all(const Four* from, float* out, int64_t count) {
  float total = 0.0f;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) {
    const Four v = from[i];
    total += v.x + v.y + v.z + v.w;
  }
  if (total == 1.2345678e30f) *out = total;  // never, which the compiler cannot know
}

extern "C" __global__ void write_all(Four* to, int64_t count) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step)
    to[i] = Four{1.0f, 2.0f, 3.0f, 4.0f};
}

extern "C" __global__ void copy_all(const Four* from, Four* to, int64_t count) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) to[i] = from[i];
}

// The same set over and over, so that it lies in the second-level cache.
extern "C" __global__ void read_again(const Four* from, float* out, int64_t count, int64_t rounds) {
  float total = 0.0f;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t round = 0; round < rounds; round++)
    for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) {
      const volatile float* v = &from[i].x;
      total += v[0] + v[1] + v[2] + v[3];
    }
  if (total == 1.2345678e30f) *out = total;
}

template <typename T>
__device__ inline void multiply_add(float* out, int64_t rounds) {
  T a[8];
  for (int i = 0; i < 8; i++) a[i] = static_cast<T>(threadIdx.x + i);
  const T b = static_cast<T>(1.0000001), c = static_cast<T>(1e-7);
  for (int64_t round = 0; round < rounds; round++)
    for (int i = 0; i < 8; i++) a[i] = a[i] * b + c;
  T total = 0;
  for (int i = 0; i < 8; i++) total += a[i];
  if (total == static_cast<T>(1.2345678e30)) *out = static_cast<float>(total);
}

extern "C" __global__ void add_float32(float* out, int64_t rounds) {
  multiply_add<float>(out, rounds);
}
extern "C" __global__ void add_float64(float* out, int64_t rounds) {
  multiply_add<double>(out, rounds);
}

#ifdef __CUDACC__
// 16 x 16 x K products of a warp on tensor cores, four sums at a time.
template <typename T, int K>
__device__ inline void tensor(float* out, int64_t rounds) {
  using namespace nvcuda::wmma;
  fragment<matrix_a, 16, 16, K, T, row_major> a;
  fragment<matrix_b, 16, 16, K, T, col_major> b;
  fragment<accumulator, 16, 16, K, float> c[4];
  for (int i = 0; i < a.num_elements; i++)
    a.x[i] = typename fragment<matrix_a, 16, 16, K, T, row_major>::storage_element_type(0.001f);
  for (int i = 0; i < b.num_elements; i++)
    b.x[i] = typename fragment<matrix_b, 16, 16, K, T, col_major>::storage_element_type(0.001f);
  for (auto& each : c) fill_fragment(each, 0.0f);
  for (int64_t round = 0; round < rounds; round++)
    for (auto& each : c) mma_sync(each, a, b, each);
  float total = 0.0f;
  for (auto& each : c)
    for (int i = 0; i < each.num_elements; i++) total += each.x[i];
  if (total == 1.2345678e30f) *out = total;
}

extern "C" __global__ void tensor_float16(float* out, int64_t rounds) {
  tensor<__half, 16>(out, rounds);
}
extern "C" __global__ void tensor_bfloat16(float* out, int64_t rounds) {
  tensor<__nv_bfloat16, 16>(out, rounds);
}
#endif
