/* launch.toml
[sizes]
m = "in0.shape[0]"
k = "in0.shape[1]"
n = "in1.shape[1]"

[[launch]]
kernel = "matmul_bias_relu"
grid = ["cdiv(n, 32)", "cdiv(m, 32)"]
block = [16, 16]
arguments = ["in0", "in1", "in2", "out0", "i32 m", "i32 n", "i32 k"]
*/
// task: matmul_bias_relu
// style: asynchronous copies into two stages of shared memory
// story: The next tiles are on their way while the present ones are multiplied; bias and ReLU follow in registers.

#include <cuda_pipeline.h>

constexpr int kTile = 32, kDepth = 16;

__device__ __forceinline__ void load(float (*left)[kDepth + 1], float (*right)[kTile], const float* a, const float* b,
                                     int top, int first, int depth, int m, int n, int k) {
  const int thread = threadIdx.y * 16 + threadIdx.x;
  for (int i = thread; i < kTile * kDepth; i += 256) {
    const int row = i / kDepth, inner = i % kDepth;
    if (top + row < m && depth + inner < k)
      __pipeline_memcpy_async(&left[row][inner], a + static_cast<long long>(top + row) * k + depth + inner, 4);
    else
      left[row][inner] = 0.0f;
  }
  for (int i = thread; i < kTile * kDepth; i += 256) {
    const int inner = i / kTile, column = i % kTile;
    if (depth + inner < k && first + column < n)
      __pipeline_memcpy_async(&right[inner][column], b + static_cast<long long>(depth + inner) * n + first + column, 4);
    else
      right[inner][column] = 0.0f;
  }
  __pipeline_commit();
}

extern "C" __global__ void __launch_bounds__(256)
    matmul_bias_relu(const float* __restrict__ a, const float* __restrict__ b, const float* __restrict__ bias,
                     float* __restrict__ c, int m, int n, int k) {
  __shared__ float left[2][kTile][kDepth + 1];
  __shared__ float right[2][kDepth][kTile];
  const int top = blockIdx.y * kTile, first = blockIdx.x * kTile;
  float sum[2][2] = {};
  load(left[0], right[0], a, b, top, first, 0, m, n, k);
  for (int depth = 0, stage = 0; depth < k; depth += kDepth, stage ^= 1) {
    if (depth + kDepth < k) load(left[stage ^ 1], right[stage ^ 1], a, b, top, first, depth + kDepth, m, n, k);
    __pipeline_wait_prior(depth + kDepth < k ? 1 : 0);
    __syncthreads();
    for (int inner = 0; inner < kDepth; inner++)
      for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++)
          sum[i][j] += left[stage][threadIdx.y + 16 * i][inner] * right[stage][inner][threadIdx.x + 16 * j];
    __syncthreads();
  }
  for (int i = 0; i < 2; i++)
    for (int j = 0; j < 2; j++) {
      const int row = top + threadIdx.y + 16 * i, column = first + threadIdx.x + 16 * j;
      if (row < m && column < n) c[static_cast<long long>(row) * n + column] = fmaxf(sum[i][j] + bias[column], 0.0f);
    }
}
