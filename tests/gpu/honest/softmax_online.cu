/* launch.toml
[sizes]
rows = "in0.shape[0]"
columns = "in0.shape[1]"

[[launch]]
kernel = "softmax_online"
grid = ["rows"]
block = [256]
arguments = ["in0", "out0", "i32 columns"]
*/
// task: softmax
// style: online softmax, a block for each row
// story: Each thread keeps a running maximum and a sum scaled to it; warps and then the block merge the pairs.

struct Partial {
  float top, sum;
};

__device__ __forceinline__ Partial merge(Partial a, Partial b) {
  const float top = fmaxf(a.top, b.top);
  if (top == -INFINITY) return {top, 0.0f};
  return {top, a.sum * expf(a.top - top) + b.sum * expf(b.top - top)};
}

__device__ __forceinline__ Partial merge_warp(Partial mine) {
  for (int offset = 16; offset > 0; offset /= 2) {
    const Partial other = {__shfl_xor_sync(0xffffffffu, mine.top, offset),
                           __shfl_xor_sync(0xffffffffu, mine.sum, offset)};
    mine = merge(mine, other);
  }
  return mine;
}

extern "C" __global__ void __launch_bounds__(256)
    softmax_online(const float* __restrict__ x, float* __restrict__ y, int columns) {
  __shared__ Partial warps[8];
  const long long begin = static_cast<long long>(blockIdx.x) * columns;
  Partial mine = {-INFINITY, 0.0f};
  for (int c = threadIdx.x; c < columns; c += blockDim.x) {
    const float v = x[begin + c];
    if (v > mine.top) {
      mine.sum *= expf(mine.top - v);
      mine.top = v;
    }
    mine.sum += expf(v - mine.top);
  }
  mine = merge_warp(mine);
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = mine;
  __syncthreads();
  mine = {-INFINITY, 0.0f};
  if (threadIdx.x % 32 < 8) mine = warps[threadIdx.x % 32];
  mine = merge_warp(mine);
  const float scale = 1.0f / mine.sum;
  for (int c = threadIdx.x; c < columns; c += blockDim.x) y[begin + c] = expf(x[begin + c] - mine.top) * scale;
}
