/* launch.toml
[sizes]
planes = "in0.shape[0] * in0.shape[1]"
height = "in0.shape[2]"
width = "in0.shape[3]"

[[launch]]
kernel = "avg_pool2d"
grid = ["cdiv(width, 32)", "cdiv(height, 8)", "planes"]
block = [32, 8]
arguments = ["in0", "out0", "i32 height", "i32 width"]
*/
// task: avg_pool2d
// from: avg_pool2d_halo
// category: missing_sync
// bug: No barrier between loading the tile and reading the neighbours' part of it.
// race: shows where a neighbour's load is still under way

extern "C" __global__ void __launch_bounds__(256)
    avg_pool2d(const float* __restrict__ x, float* __restrict__ y, int height, int width) {
  __shared__ float tile[10][34];
  const int left = blockIdx.x * 32 - 1, top = blockIdx.y * 8 - 1;
  const long long plane = static_cast<long long>(blockIdx.z) * height * width;
  for (int i = threadIdx.y * 32 + threadIdx.x; i < 340; i += 256) {
    const int row = top + i / 34, column = left + i % 34;
    const bool inside = row >= 0 && row < height && column >= 0 && column < width;
    tile[i / 34][i % 34] = inside ? x[plane + static_cast<long long>(row) * width + column] : 0.0f;
  }
  const int row = top + 1 + threadIdx.y, column = left + 1 + threadIdx.x;
  if (row >= height || column >= width) return;
  float sum = 0.0f;
  for (int dy = 0; dy < 3; dy++)
    for (int dx = 0; dx < 3; dx++) sum += tile[threadIdx.y + dy][threadIdx.x + dx];
  y[plane + static_cast<long long>(row) * width + column] = sum / 9.0f;
}
