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
// category: missing_sync
// bug: No barrier after the first warp has scanned the warps' totals.
// race: shows where a warp is ahead of the first

__device__ __forceinline__ float scan_warp(float v, int lane) {
  for (int offset = 1; offset < 32; offset *= 2) {
    const float before = __shfl_up_sync(0xffffffffu, v, offset);
    if (lane >= offset) v += before;
  }
  return v;
}

extern "C" __global__ void __launch_bounds__(256)
    cumsum_block_scan(const float* __restrict__ x, float* __restrict__ y, int columns) {
  __shared__ float totals[8];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const long long begin = static_cast<long long>(blockIdx.x) * columns;
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
    if (warp > 0) v += totals[warp - 1];
    if (c < columns) y[begin + c] = carry + v;
    carry += totals[7];
    __syncthreads();  // the totals are overwritten by the next chunk
  }
}
