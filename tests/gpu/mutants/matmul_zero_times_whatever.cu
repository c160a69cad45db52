/* launch.toml
[sizes]
m = "in0.shape[0]"
k = "in0.shape[1]"
n = "in1.shape[1]"

[[launch]]
kernel = "matmul_register_tiles"
grid = ["cdiv(n, 64)", "cdiv(m, 64)"]
block = [16, 16]
arguments = ["in0", "in1", "out0", "i32 m", "i32 n", "i32 k"]
*/
// task: matmul
// from: matmul_register_tiles
// category: out_of_bounds
// bug: Rows of the second factor past its end are read and multiplied by zero, which NaN and infinity survive.

constexpr int kTile = 64, kDepth = 16;

extern "C" __global__ void __launch_bounds__(256)
    matmul_register_tiles(const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ c, int m, int n,
                          int k) {
  __shared__ float left[kDepth][kTile + 4];
  __shared__ float right[kDepth][kTile];
  const int thread = threadIdx.y * 16 + threadIdx.x;
  const int top = blockIdx.y * kTile, first = blockIdx.x * kTile;
  float sum[4][4] = {};
  for (int depth = 0; depth < k; depth += kDepth) {
    for (int i = thread; i < kTile * kDepth; i += 256) {
      const int row = i / kDepth, inner = i % kDepth;
      const bool inside = top + row < m && depth + inner < k;
      left[inner][row] = inside ? a[static_cast<long long>(top + row) * k + depth + inner] : 0.0f;
    }
    for (int i = thread; i < kTile * kDepth; i += 256) {
      const int inner = i / kTile, column = i % kTile;
      const bool inside = first + column < n;
      right[inner][column] = inside ? b[static_cast<long long>(depth + inner) * n + first + column] : 0.0f;
    }
    __syncthreads();
#pragma unroll
    for (int inner = 0; inner < kDepth; inner++) {
      float mine[4], other[4];
#pragma unroll
      for (int i = 0; i < 4; i++) {
        mine[i] = left[inner][threadIdx.y * 4 + i];
        other[i] = right[inner][threadIdx.x + 16 * i];
      }
#pragma unroll
      for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) sum[i][j] += mine[i] * other[j];
    }
    __syncthreads();
  }
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 4; j++) {
      const int row = top + threadIdx.y * 4 + i, column = first + threadIdx.x + 16 * j;
      if (row < m && column < n) c[static_cast<long long>(row) * n + column] = sum[i][j];
    }
}
