/* launch.toml
[sizes]
messages = "in1.numel"
nodes = "in0.shape[0]"
width = "in0.shape[1]"

[[launch]]
kernel = "index_add"
grid = ["nodes", "cdiv(width, 64)"]
block = [64]
arguments = ["in0", "in1", "in2", "out0", "i32 messages", "i32 width"]
*/
// task: index_add
// style: every result has one owner; no atomics, so the same bits come every time
// story: A block scans the index in chunks through shared memory and adds what belongs to its node, in order.

extern "C" __global__ void __launch_bounds__(64)
    index_add(const float* __restrict__ base, const long long* __restrict__ index, const float* __restrict__ message,
              float* __restrict__ y, int messages, int width) {
  __shared__ int chunk[256];
  const int node = blockIdx.x, column = blockIdx.y * 64 + threadIdx.x;
  float sum = column < width ? base[static_cast<long long>(node) * width + column] : 0.0f;
  for (int begin = 0; begin < messages; begin += 256) {
    const int count = min(256, messages - begin);
    for (int i = threadIdx.x; i < count; i += 64) chunk[i] = static_cast<int>(index[begin + i]);
    __syncthreads();
    for (int i = 0; i < count; i++)
      if (chunk[i] == node && column < width) sum += message[static_cast<long long>(begin + i) * width + column];
    __syncthreads();
  }
  if (column < width) y[static_cast<long long>(node) * width + column] = sum;
}
