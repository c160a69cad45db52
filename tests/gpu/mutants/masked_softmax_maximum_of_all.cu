/* launch.toml
[sizes]
rows = "in0.shape[0]"
columns = "in0.shape[1]"

[[launch]]
kernel = "masked_softmax"
grid = ["rows"]
block = [256]
arguments = ["in0", "in1", "out0", "i32 columns", "f32 scalar0"]
*/
// task: masked_softmax
// from: masked_softmax_fused
// category: masks
// bug: The maximum is taken over masked elements too; a masked one that is much larger makes all others vanish.
// family: rows

__device__ float fold(float v, bool maximum) {
  __shared__ float partial[8];
  for (int offset = 16; offset > 0; offset /= 2) {
    const float other = __shfl_xor_sync(0xffffffffu, v, offset);
    v = maximum ? fmaxf(v, other) : v + other;
  }
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = v;
  __syncthreads();
  v = partial[0];
  for (int w = 1; w < 8; w++) v = maximum ? fmaxf(v, partial[w]) : v + partial[w];
  __syncthreads();
  return v;
}

extern "C" __global__ void __launch_bounds__(256)
    masked_softmax(const float* __restrict__ x, const unsigned char* __restrict__ keep, float* __restrict__ y,
                   int columns, float temperature) {
  const long long begin = static_cast<long long>(blockIdx.x) * columns;
  float top = -INFINITY;
  for (int c = threadIdx.x; c < columns; c += 256) top = fmaxf(top, x[begin + c] / temperature);
  top = fold(top, true);
  float sum = 0.0f;
  for (int c = threadIdx.x; c < columns; c += 256)
    if (keep[begin + c]) sum += expf(x[begin + c] / temperature - top);
  const float scale = 1.0f / fold(sum, false);
  for (int c = threadIdx.x; c < columns; c += 256)
    y[begin + c] = keep[begin + c] ? expf(x[begin + c] / temperature - top) * scale : 0.0f;
}
