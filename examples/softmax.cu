/* launch.toml
[sizes]
columns = "in0.shape[1]"

[[launch]]
kernel = "softmax"
grid = ["in0.shape[0]"]
block = [256]
shared_bytes = "4 * min(columns, 12288)"
arguments = ["in0", "out0", "i32 columns"]
*/
// Row softmax: a block for each row. The row is read from memory once where it fits 48 KB of shared memory; longer rows
// are read again. Maximum and sum are combined by warp shuffles, then once through shared memory.
constexpr int kKept = 12288;  // floats of a row that are kept

__device__ float across_warp(float value, bool sum) {
  for (int distance = 16; distance > 0; distance /= 2) {
    float other = __shfl_xor_sync(0xffffffffu, value, distance);
    value = sum ? value + other : fmaxf(value, other);
  }
  return value;
}

// Over all 256 threads; every one gets the result.
__device__ float across_block(float value, bool sum) {
  __shared__ float partial[8];
  value = across_warp(value, sum);
  __syncthreads();  // the result of the call before has been read by all
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = value;
  __syncthreads();
  return across_warp(partial[threadIdx.x % 8], sum) / (sum ? 4.0f : 1.0f);  // each partial stands in a warp four times
}

extern "C" __global__ void softmax(const float* __restrict__ x, float* __restrict__ y, int columns) {
  extern __shared__ float kept[];
  const float* row = x + static_cast<size_t>(blockIdx.x) * columns;
  float* out = y + static_cast<size_t>(blockIdx.x) * columns;
  float largest = -INFINITY, total = 0.0f;
  for (int j = threadIdx.x; j < columns; j += 256) {
    float value = row[j];
    if (j < kKept) kept[j] = value;
    largest = fmaxf(largest, value);
  }
  largest = across_block(largest, false);
  for (int j = threadIdx.x; j < columns; j += 256) total += expf((j < kKept ? kept[j] : row[j]) - largest);
  float scale = 1.0f / across_block(total, true);
  for (int j = threadIdx.x; j < columns; j += 256) out[j] = expf((j < kKept ? kept[j] : row[j]) - largest) * scale;
}
