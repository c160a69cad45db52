/* launch.toml
[sizes]
rows = "in0.shape[0]"
columns = "in0.shape[1]"

[[launch]]
kernel = "row_std"
grid = ["rows"]
block = [256]
shared_bytes = "4 * columns"
arguments = ["in0", "out0", "out1", "i32 columns"]
*/
// task: row_std
// style: the row in dynamic shared memory, two passes over it
// story: Mean first, then centred squares over n - 1; two outputs from one launch.

__device__ float block_sum(float v, float* partial) {
  for (int offset = 16; offset > 0; offset /= 2) v += __shfl_xor_sync(0xffffffffu, v, offset);
  __syncthreads();
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = v;
  __syncthreads();
  v = threadIdx.x % 32 < 8 ? partial[threadIdx.x % 32] : 0.0f;
  for (int offset = 16; offset > 0; offset /= 2) v += __shfl_xor_sync(0xffffffffu, v, offset);
  return v;
}

extern "C" __global__ void __launch_bounds__(256)
    row_std(const float* __restrict__ x, float* __restrict__ mean_out, float* __restrict__ std_out, int columns) {
  extern __shared__ float row[];
  __shared__ float partial[8];
  const long long begin = static_cast<long long>(blockIdx.x) * columns;
  float sum = 0.0f;
  for (int c = threadIdx.x; c < columns; c += 256) {
    row[c] = x[begin + c];
    sum += row[c];
  }
  const float mean = block_sum(sum, partial) / static_cast<float>(columns);
  float squares = 0.0f;
  for (int c = threadIdx.x; c < columns; c += 256) squares += (row[c] - mean) * (row[c] - mean);
  squares = block_sum(squares, partial);
  if (threadIdx.x == 0) {
    mean_out[blockIdx.x] = mean;
    std_out[blockIdx.x] = sqrtf(squares / static_cast<float>(columns - 1));
  }
}
