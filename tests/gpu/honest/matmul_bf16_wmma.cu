/* launch.toml
[sizes]
m = "in0.shape[0]"
k = "in0.shape[1]"
n = "in1.shape[1]"

[[launch]]
kernel = "matmul_bf16"
grid = ["cdiv(n, 64)", "cdiv(m, 64)"]
block = [128]
arguments = ["in0", "in1", "out0", "i32 m", "i32 n", "i32 k"]
*/
// task: matmul_bf16
// style: tensor cores through wmma, tiles padded with zeros, float32 sums
// story: Four warps with a 32 x 32 quarter each; results go through shared memory so that edges are cut exactly.

#include <cuda_bf16.h>
#include <mma.h>

namespace wmma = nvcuda::wmma;

constexpr int kTile = 64, kDepth = 32, kPad = 8;

extern "C" __global__ void __launch_bounds__(128)
    matmul_bf16(const __nv_bfloat16* __restrict__ a, const __nv_bfloat16* __restrict__ b, __nv_bfloat16* __restrict__ c,
                int m, int n, int k) {
  __shared__ __align__(32) __nv_bfloat16 left[kTile][kDepth + kPad];
  __shared__ __align__(32) __nv_bfloat16 right[kDepth][kTile + kPad];
  __shared__ __align__(32) float result[kTile][kTile + kPad];
  const int top = blockIdx.y * kTile, first = blockIdx.x * kTile;
  const int warp = threadIdx.x / 32, warp_row = warp / 2 * 32, warp_column = warp % 2 * 32;
  wmma::fragment<wmma::accumulator, 16, 16, 16, float> sum[2][2];
  for (auto& row : sum)
    for (auto& fragment : row) wmma::fill_fragment(fragment, 0.0f);
  for (int depth = 0; depth < k; depth += kDepth) {
    for (int i = threadIdx.x; i < kTile * kDepth; i += 128) {
      const int row = i / kDepth, inner = i % kDepth;
      const bool inside = top + row < m && depth + inner < k;
      left[row][inner] = inside ? a[static_cast<long long>(top + row) * k + depth + inner] : __float2bfloat16(0.0f);
    }
    for (int i = threadIdx.x; i < kTile * kDepth; i += 128) {
      const int inner = i / kTile, column = i % kTile;
      const bool inside = depth + inner < k && first + column < n;
      right[inner][column] =
          inside ? b[static_cast<long long>(depth + inner) * n + first + column] : __float2bfloat16(0.0f);
    }
    __syncthreads();
    for (int inner = 0; inner < kDepth; inner += 16) {
      wmma::fragment<wmma::matrix_a, 16, 16, 16, __nv_bfloat16, wmma::row_major> x[2];
      wmma::fragment<wmma::matrix_b, 16, 16, 16, __nv_bfloat16, wmma::row_major> y[2];
      for (int i = 0; i < 2; i++) {
        wmma::load_matrix_sync(x[i], &left[warp_row + 16 * i][inner], kDepth + kPad);
        wmma::load_matrix_sync(y[i], &right[inner][warp_column + 16 * i], kTile + kPad);
      }
      for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++) wmma::mma_sync(sum[i][j], x[i], y[j], sum[i][j]);
    }
    __syncthreads();
  }
  for (int i = 0; i < 2; i++)
    for (int j = 0; j < 2; j++)
      wmma::store_matrix_sync(&result[warp_row + 16 * i][warp_column + 16 * j], sum[i][j], kTile + kPad,
                              wmma::mem_row_major);
  __syncthreads();
  for (int i = threadIdx.x; i < kTile * kTile; i += 128) {
    const int row = i / kTile, column = i % kTile;
    if (top + row < m && first + column < n)
      c[static_cast<long long>(top + row) * n + first + column] = __float2bfloat16(result[row][column]);
  }
}
