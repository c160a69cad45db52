/* launch.toml
[sizes]
m = "in0.shape[0]"
k = "in0.shape[1]"
n = "in1.shape[1]"

[[launch]]
kernel = "matmul_tf32_three"
grid = ["cdiv(n, 32)", "cdiv(m, 32)"]
block = [128]
arguments = ["in0", "in1", "out0", "i32 m", "i32 n", "i32 k"]
*/
// task: matmul
// style: tensor cores at float32's precision: each number split in two of TF32, three products
// story: The product of the two remainders is below float32's rounding; sums often move to plain registers.

#include <mma.h>

namespace wmma = nvcuda::wmma;

constexpr int kTile = 32, kDepth = 32, kPad = 4;

// The upper eleven bits of each number of a fragment, and what is left of it.
template <typename Fragment>
__device__ __forceinline__ void split(const Fragment& whole, Fragment& high, Fragment& low) {
  for (int i = 0; i < whole.num_elements; i++) {
    high.x[i] = wmma::__float_to_tf32(whole.x[i]);
    low.x[i] = wmma::__float_to_tf32(whole.x[i] - high.x[i]);
  }
}

extern "C" __global__ void __launch_bounds__(128)
    matmul_tf32_three(const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ c, int m, int n,
                      int k) {
  __shared__ __align__(32) float left[kTile][kDepth + kPad];
  __shared__ __align__(32) float right[kDepth][kTile + kPad];
  __shared__ __align__(32) float result[kTile][kTile + kPad];
  const int top = blockIdx.y * kTile, first = blockIdx.x * kTile;
  const int warp_row = threadIdx.x / 64 * 16, warp_column = threadIdx.x / 32 % 2 * 16;
  wmma::fragment<wmma::accumulator, 16, 16, 8, float> sum, part;
  wmma::fill_fragment(sum, 0.0f);
  for (int depth = 0; depth < k; depth += kDepth) {
    for (int i = threadIdx.x; i < kTile * kDepth; i += 128) {
      const int row = i / kDepth, inner = i % kDepth;
      const bool a_inside = top + row < m && depth + inner < k, b_inside = depth + row < k && first + inner < n;
      left[row][inner] = a_inside ? a[static_cast<long long>(top + row) * k + depth + inner] : 0.0f;
      right[row][inner] = b_inside ? b[static_cast<long long>(depth + row) * n + first + inner] : 0.0f;
    }
    __syncthreads();
    wmma::fill_fragment(part, 0.0f);
    for (int inner = 0; inner < kDepth; inner += 8) {
      wmma::fragment<wmma::matrix_a, 16, 16, 8, wmma::precision::tf32, wmma::row_major> x, x_high, x_low;
      wmma::fragment<wmma::matrix_b, 16, 16, 8, wmma::precision::tf32, wmma::row_major> y, y_high, y_low;
      wmma::load_matrix_sync(x, &left[warp_row][inner], kDepth + kPad);
      wmma::load_matrix_sync(y, &right[inner][warp_column], kTile + kPad);
      split(x, x_high, x_low);
      split(y, y_high, y_low);
      wmma::mma_sync(part, x_low, y_high, part);
      wmma::mma_sync(part, x_high, y_low, part);
      wmma::mma_sync(part, x_high, y_high, part);
    }
    for (int i = 0; i < sum.num_elements; i++) sum.x[i] += part.x[i];
    __syncthreads();
  }
  wmma::store_matrix_sync(&result[warp_row][warp_column], sum, kTile + kPad, wmma::mem_row_major);
  __syncthreads();
  for (int i = threadIdx.x; i < kTile * kTile; i += 128) {
    const int row = i / kTile, column = i % kTile;
    if (top + row < m && first + column < n)
      c[static_cast<long long>(top + row) * n + first + column] = result[row][column];
  }
}
