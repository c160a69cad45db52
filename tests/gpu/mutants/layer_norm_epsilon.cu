/* launch.toml
[sizes]
tokens = "in0.shape[0]"
width = "in0.shape[1]"

[[launch]]
kernel = "layer_norm_welford"
grid = ["tokens"]
block = [192]
arguments = ["in0", "weight0", "weight1", "out0", "i32 width"]
*/
// task: layer_norm
// from: layer_norm_welford
// category: epsilon
// bug: Epsilon is 1e-6 instead of 1e-5, which only rows of small variance notice.
// family: tiny

struct Moments {
  float count, mean, squares;
};

__device__ __forceinline__ void add(Moments& m, float v) {
  m.count += 1.0f;
  const float delta = v - m.mean;
  m.mean += delta / m.count;
  m.squares += delta * (v - m.mean);
}

__device__ __forceinline__ Moments merge(Moments a, Moments b) {
  const float count = a.count + b.count;
  if (count == 0.0f) return a;
  const float delta = b.mean - a.mean, share = b.count / count;
  return {count, a.mean + delta * share, a.squares + b.squares + delta * delta * a.count * share};
}

__device__ __forceinline__ Moments merge_warp(Moments m) {
  for (int offset = 16; offset > 0; offset /= 2) {
    const Moments other = {__shfl_down_sync(0xffffffffu, m.count, offset),
                           __shfl_down_sync(0xffffffffu, m.mean, offset),
                           __shfl_down_sync(0xffffffffu, m.squares, offset)};
    m = merge(m, other);
  }
  return m;
}

extern "C" __global__ void __launch_bounds__(192)
    layer_norm_welford(const float* __restrict__ x, const float* __restrict__ weight, const float* __restrict__ bias,
                       float* __restrict__ y, int width) {
  __shared__ Moments warps[6];
  __shared__ float shift, scale;
  const float* in = x + static_cast<long long>(blockIdx.x) * width;
  float* out = y + static_cast<long long>(blockIdx.x) * width;
  Moments mine = {0.0f, 0.0f, 0.0f};
  for (int c = 4 * threadIdx.x; c < width; c += 4 * blockDim.x) {
    const float4 v = *reinterpret_cast<const float4*>(in + c);
    add(mine, v.x);
    add(mine, v.y);
    add(mine, v.z);
    add(mine, v.w);
  }
  mine = merge_warp(mine);
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = mine;
  __syncthreads();
  if (threadIdx.x == 0) {
    Moments all = warps[0];
    for (int w = 1; w < 6; w++) all = merge(all, warps[w]);
    shift = all.mean;
    scale = rsqrtf(all.squares / all.count + 1e-6f);
  }
  __syncthreads();
  for (int c = 4 * threadIdx.x; c < width; c += 4 * blockDim.x) {
    const float4 v = *reinterpret_cast<const float4*>(in + c);
    const float4 w = *reinterpret_cast<const float4*>(weight + c);
    const float4 b = *reinterpret_cast<const float4*>(bias + c);
    *reinterpret_cast<float4*>(out + c) =
        make_float4((v.x - shift) * scale * w.x + b.x, (v.y - shift) * scale * w.y + b.y,
                    (v.z - shift) * scale * w.z + b.z, (v.w - shift) * scale * w.w + b.w);
  }
}
