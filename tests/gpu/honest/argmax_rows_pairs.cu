/* launch.toml
[sizes]
rows = "in0.shape[0]"
columns = "in0.shape[1]"

[[launch]]
kernel = "argmax_rows"
grid = ["rows"]
block = [128]
arguments = ["in0", "out0", "i32 columns"]
*/
// task: argmax_rows
// style: pairs of value and index through shuffles and shared memory
// story: Among equal values the lower index wins in every merge, whatever the order of the merges.

__device__ __forceinline__ void keep_better(float& value, int& index, float other, int at) {
  if (other > value || (other == value && at < index)) {
    value = other;
    index = at;
  }
}

extern "C" __global__ void __launch_bounds__(128)
    argmax_rows(const float* __restrict__ x, long long* __restrict__ y, int columns) {
  __shared__ float values[4];
  __shared__ int indices[4];
  const float* in = x + static_cast<long long>(blockIdx.x) * columns;
  float value = -INFINITY;
  int index = 0x7fffffff;
  for (int c = threadIdx.x; c < columns; c += 128) keep_better(value, index, in[c], c);
  for (int offset = 16; offset > 0; offset /= 2) {
    const float other = __shfl_down_sync(0xffffffffu, value, offset);
    const int at = __shfl_down_sync(0xffffffffu, index, offset);
    keep_better(value, index, other, at);
  }
  if (threadIdx.x % 32 == 0) {
    values[threadIdx.x / 32] = value;
    indices[threadIdx.x / 32] = index;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int w = 1; w < 4; w++) keep_better(value, index, values[w], indices[w]);
    y[blockIdx.x] = index;
  }
}
