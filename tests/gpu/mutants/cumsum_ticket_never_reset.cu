/* launch.toml
[sizes]
rows = "in0.shape[0]"
columns = "in0.shape[1]"

[[launch]]
kernel = "cumsum_block_scan"
grid = ["rows"]
block = [256]
arguments = ["in0", "out0", "i32 columns"]
*/
// task: cumsum
// from: cumsum_block_scan
// category: stale_state
// bug: Blocks draw their rows from a device counter that no call resets, so the second call writes nothing.

__device__ __forceinline__ float scan_warp(float v, int lane) {
  for (int offset = 1; offset < 32; offset *= 2) {
    const float before = __shfl_up_sync(0xffffffffu, v, offset);
    if (lane >= offset) v += before;
  }
  return v;
}

__device__ unsigned ticket;

extern "C" __global__ void __launch_bounds__(256)
    cumsum_block_scan(const float* __restrict__ x, float* __restrict__ y, int columns) {
  __shared__ float totals[8];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  __shared__ unsigned row;
  if (threadIdx.x == 0) row = atomicAdd(&ticket, 1u);
  __syncthreads();
  if (row >= gridDim.x) return;
  const long long begin = static_cast<long long>(row) * columns;
  float carry = 0.0f;
  for (int chunk = 0; chunk < columns; chunk += 256) {
    const int c = chunk + threadIdx.x;
    float v = scan_warp(c < columns ? x[begin + c] : 0.0f, lane);
    if (lane == 31) totals[warp] = v;
    __syncthreads();
    if (warp == 0) {
      const float scanned = scan_warp(lane < 8 ? totals[lane] : 0.0f, lane);
      if (lane < 8) totals[lane] = scanned;
    }
    __syncthreads();
    if (warp > 0) v += totals[warp - 1];
    if (c < columns) y[begin + c] = carry + v;
    carry += totals[7];
    __syncthreads();  // the totals are overwritten by the next chunk
  }
}
