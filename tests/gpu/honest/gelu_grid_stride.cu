/* launch.toml
[sizes]
count = "in0.numel"

[[launch]]
kernel = "gelu_grid_stride"
grid = ["min(cdiv(count, 1024), 528)"]
block = [256]
arguments = ["in0", "out0", "i64 count"]
*/
// task: gelu
// style: grid-stride loop over vectors of four, with a scalar tail
// story: Four blocks for each multiprocessor walk the tensor; the last up to three elements go one by one.

__device__ __forceinline__ float gelu(float v) {
  return 0.5f * v * (1.0f + erff(v * 0.70710678118654752f));
}

extern "C" __global__ void __launch_bounds__(256)
    gelu_grid_stride(const float* __restrict__ x, float* __restrict__ y, long long count) {
  const long long vectors = count / 4, stride = static_cast<long long>(gridDim.x) * blockDim.x;
  const long long first = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  for (long long i = first; i < vectors; i += stride) {
    const float4 v = reinterpret_cast<const float4*>(x)[i];
    reinterpret_cast<float4*>(y)[i] = make_float4(gelu(v.x), gelu(v.y), gelu(v.z), gelu(v.w));
  }
  for (long long i = 4 * vectors + first; i < count; i += stride) y[i] = gelu(x[i]);
}
