/* launch.toml
[sizes]
tokens = "in0.shape[0]"
width = "in0.shape[1]"

[[launch]]
kernel = "bias_gelu_scale"
grid = ["cdiv(width, 256)", "cdiv(tokens, 8)"]
block = [64]
arguments = ["in0", "in1", "weight0", "weight1", "out0", "i32 tokens", "i32 width"]
*/
// task: bias_gelu_scale
// from: bias_gelu_scale_fused
// category: approximation
// bug: Two digits of the cubic's coefficient are swapped: 0.044751.
// family: tiny

__device__ __forceinline__ float one(float v, float bias, float scale, float residual) {
  const float t = v + bias;
  const float inner = 0.7978845608028654f * (t + 0.044751f * t * t * t);
  return residual + scale * (0.5f * t * (1.0f + tanhf(inner)));
}

extern "C" __global__ void __launch_bounds__(64)
    bias_gelu_scale(const float* __restrict__ x, const float* __restrict__ residual, const float* __restrict__ bias,
                    const float* __restrict__ scale, float* __restrict__ y, int tokens, int width) {
  const int column = (blockIdx.x * 64 + threadIdx.x) * 4;
  if (column >= width) return;
  const float4 b = *reinterpret_cast<const float4*>(bias + column);
  const float4 s = *reinterpret_cast<const float4*>(scale + column);
  const int end = min(tokens, static_cast<int>(blockIdx.y + 1) * 8);
  for (int row = blockIdx.y * 8; row < end; row++) {
    const long long at = static_cast<long long>(row) * width + column;
    const float4 v = *reinterpret_cast<const float4*>(x + at);
    const float4 r = *reinterpret_cast<const float4*>(residual + at);
    *reinterpret_cast<float4*>(y + at) =
        make_float4(one(v.x, b.x, s.x, r.x), one(v.y, b.y, s.y, r.y), one(v.z, b.z, s.z, r.z), one(v.w, b.w, s.w, r.w));
  }
}
