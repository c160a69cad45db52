/* launch.toml
[sizes]
rows = "in0.shape[0]"
columns = "in0.shape[1]"

[[launch]]
kernel = "softmax_backward"
grid = ["rows"]
block = [128]
shared_bytes = "4 * columns"
arguments = ["in0", "in1", "out0", "i32 columns"]
*/
// task: softmax_backward
// from: softmax_backward_recomputed
// category: stale_state
// bug: A row's product with the gradient is kept in device memory from the first call.

__device__ float fold(float v, bool maximum, float* partial) {
  for (int offset = 16; offset > 0; offset /= 2) {
    const float other = __shfl_xor_sync(0xffffffffu, v, offset);
    v = maximum ? fmaxf(v, other) : v + other;
  }
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = v;
  __syncthreads();
  const float a = partial[0], b = partial[1], c = partial[2], d = partial[3];
  __syncthreads();
  return maximum ? fmaxf(fmaxf(a, b), fmaxf(c, d)) : (a + b) + (c + d);
}

__device__ float kept[1024];
__device__ bool known[1024];

extern "C" __global__ void __launch_bounds__(128)
    softmax_backward(const float* __restrict__ x, const float* __restrict__ grad, float* __restrict__ y, int columns) {
  extern __shared__ float weight[];
  __shared__ float partial[4];
  const long long begin = static_cast<long long>(blockIdx.x) * columns;
  float top = -INFINITY;
  for (int c = threadIdx.x; c < columns; c += 128) top = fmaxf(top, x[begin + c]);
  top = fold(top, true, partial);
  float sum = 0.0f;
  for (int c = threadIdx.x; c < columns; c += 128) {
    weight[c] = expf(x[begin + c] - top);
    sum += weight[c];
  }
  const float scale = 1.0f / fold(sum, false, partial);
  float dot = 0.0f;
  for (int c = threadIdx.x; c < columns; c += 128) dot += weight[c] * scale * grad[begin + c];
  dot = fold(dot, false, partial);
  if (known[blockIdx.x]) dot = kept[blockIdx.x];
  __syncthreads();
  if (threadIdx.x == 0) {
    kept[blockIdx.x] = dot;
    known[blockIdx.x] = true;
  }
  for (int c = threadIdx.x; c < columns; c += 128) y[begin + c] = weight[c] * scale * (grad[begin + c] - dot);
}
