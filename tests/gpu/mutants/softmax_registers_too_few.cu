/* launch.toml
[sizes]
rows = "in0.shape[0]"
columns = "in0.shape[1]"

[[launch]]
kernel = "softmax_in_registers"
when = "columns <= 1536"
grid = ["cdiv(rows, 4)"]
block = [32, 4]
arguments = ["in0", "out0", "i32 rows", "i32 columns"]

[[launch]]
kernel = "softmax_in_shared"
when = "columns > 1536"
grid = ["rows"]
block = [512]
shared_bytes = "4 * columns"
arguments = ["in0", "out0", "i32 columns"]
*/
// task: softmax
// from: softmax_two_sizes
// category: off_by_one
// bug: The warp's kernel is taken up to 1536 columns, and its registers hold 1024.
// shape: rows=3 cols=1030
// rare: shows at few of the boundary shapes, away from the benchmark's

constexpr int kPerLane = 32;

extern "C" __global__ void __launch_bounds__(128)
    softmax_in_registers(const float* __restrict__ x, float* __restrict__ y, int rows, int columns) {
  const int row = blockIdx.x * blockDim.y + threadIdx.y;
  if (row >= rows) return;
  const float* in = x + static_cast<long long>(row) * columns;
  float* out = y + static_cast<long long>(row) * columns;
  float value[kPerLane];
  float top = -INFINITY;
#pragma unroll
  for (int k = 0; k < kPerLane; k++) {
    const int c = threadIdx.x + 32 * k;
    value[k] = c < columns ? in[c] : -INFINITY;
    top = fmaxf(top, value[k]);
  }
  for (int offset = 16; offset > 0; offset /= 2) top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, offset));
  float sum = 0.0f;
#pragma unroll
  for (int k = 0; k < kPerLane; k++) {
    value[k] = expf(value[k] - top);
    sum += value[k];
  }
  for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, offset);
  const float scale = 1.0f / sum;
#pragma unroll
  for (int k = 0; k < kPerLane; k++) {
    const int c = threadIdx.x + 32 * k;
    if (c < columns) out[c] = value[k] * scale;
  }
}

__device__ float block_fold(float value, bool maximum, float* partial) {
  for (int offset = 16; offset > 0; offset /= 2) {
    const float other = __shfl_xor_sync(0xffffffffu, value, offset);
    value = maximum ? fmaxf(value, other) : value + other;
  }
  __syncthreads();  // the partials of the fold before may still be read
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = value;
  __syncthreads();
  value = partial[0];
  for (int w = 1; w < blockDim.x / 32; w++) value = maximum ? fmaxf(value, partial[w]) : value + partial[w];
  return value;
}

extern "C" __global__ void __launch_bounds__(512)
    softmax_in_shared(const float* __restrict__ x, float* __restrict__ y, int columns) {
  extern __shared__ float row[];
  __shared__ float partial[16];
  const long long begin = static_cast<long long>(blockIdx.x) * columns;
  float top = -INFINITY;
  for (int c = threadIdx.x; c < columns; c += blockDim.x) {
    row[c] = x[begin + c];
    top = fmaxf(top, row[c]);
  }
  top = block_fold(top, true, partial);
  float sum = 0.0f;
  for (int c = threadIdx.x; c < columns; c += blockDim.x) {
    row[c] = expf(row[c] - top);
    sum += row[c];
  }
  const float scale = 1.0f / block_fold(sum, false, partial);
  for (int c = threadIdx.x; c < columns; c += blockDim.x) y[begin + c] = row[c] * scale;
}
