/* launch.toml
[sizes]
tokens = "in0.shape[0]"

[[launch]]
kernel = "rms_norm_warp_per_row"
grid = ["max(tokens // 4, 1)"]
block = [128]
arguments = ["in0", "weight0", "out0", "i32 tokens"]
*/
// task: rms_norm
// from: rms_norm_warp_per_row
// category: tail
// bug: The grid rounds down, so up to three last rows are never written.

constexpr int kWidth = 1024, kVectors = kWidth / 128;

extern "C" __global__ void __launch_bounds__(128)
    rms_norm_warp_per_row(const float4* __restrict__ x, const float4* __restrict__ weight, float4* __restrict__ y,
                          int tokens) {
  const int row = blockIdx.x * 4 + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (row >= tokens) return;
  const float4* in = x + static_cast<long long>(row) * (kWidth / 4);
  float4* out = y + static_cast<long long>(row) * (kWidth / 4);
  float4 value[kVectors];
  float sum = 0.0f;
#pragma unroll
  for (int k = 0; k < kVectors; k++) {
    value[k] = in[lane + 32 * k];
    sum += value[k].x * value[k].x + value[k].y * value[k].y + value[k].z * value[k].z + value[k].w * value[k].w;
  }
  for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, offset);
  const float scale = rsqrtf(sum * (1.0f / kWidth) + 1e-6f);
#pragma unroll
  for (int k = 0; k < kVectors; k++) {
    const float4 w = weight[lane + 32 * k];
    out[lane + 32 * k] = make_float4(value[k].x * scale * w.x, value[k].y * scale * w.y, value[k].z * scale * w.z,
                                     value[k].w * scale * w.w);
  }
}
