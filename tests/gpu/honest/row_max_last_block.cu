/* launch.toml
[sizes]
rows = "in0.shape[0]"
columns = "in0.shape[1]"
parts = "cdiv(columns, 512)"

[scratch]
partial = "4 * rows * parts"
arrived = "4 * rows"

[[launch]]
kernel = "clear"
grid = ["cdiv(rows, 256)"]
block = [256]
arguments = ["arrived", "i32 rows"]

[[launch]]
kernel = "row_max"
grid = ["parts", "rows"]
block = [128]
arguments = ["in0", "partial", "arrived", "out0", "i32 columns"]
*/
// task: row_max
// style: the last block to arrive finishes the row, after a fence
// story: A counter in scratch, cleared by a launch of its own, tells which block is last; the maximum knows no order.

extern "C" __global__ void clear(unsigned* arrived, int rows) {
  const int row = blockIdx.x * 256 + threadIdx.x;
  if (row < rows) arrived[row] = 0;
}

extern "C" __global__ void __launch_bounds__(128) row_max(const float* __restrict__ x, volatile float* partial,
                                                          unsigned* arrived, float* __restrict__ y, int columns) {
  __shared__ float warps[4];
  __shared__ bool last;
  const int row = blockIdx.y;
  const int end = min(columns, static_cast<int>(blockIdx.x + 1) * 512);
  float top = -INFINITY;
  for (int c = blockIdx.x * 512 + threadIdx.x; c < end; c += 128)
    top = fmaxf(top, x[static_cast<long long>(row) * columns + c]);
  for (int offset = 16; offset > 0; offset /= 2) top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, offset));
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = top;
  __syncthreads();
  if (threadIdx.x == 0) {
    partial[row * gridDim.x + blockIdx.x] = fmaxf(fmaxf(warps[0], warps[1]), fmaxf(warps[2], warps[3]));
    __threadfence();
    last = atomicAdd(&arrived[row], 1u) == gridDim.x - 1;
    if (last) {
      __threadfence();
      float all = -INFINITY;
      for (int part = 0; part < gridDim.x; part++) all = fmaxf(all, partial[row * gridDim.x + part]);
      y[row] = all;
    }
  }
}
