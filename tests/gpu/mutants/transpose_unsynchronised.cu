/* launch.toml
[sizes]
rows = "in0.shape[0]"
columns = "in0.shape[1]"

[[launch]]
kernel = "transpose"
grid = ["cdiv(columns, 32)", "cdiv(rows, 32)"]
block = [32, 8]
arguments = ["in0", "out0", "i32 rows", "i32 columns"]
*/
// task: transpose_2d
// from: transpose_padded_tile
// category: missing_sync
// bug: No barrier between writing and reading the tile.
// race: shows where a neighbour's load is still under way

extern "C" __global__ void __launch_bounds__(256)
    transpose(const float* __restrict__ x, float* __restrict__ y, int rows, int columns) {
  __shared__ float tile[32][33];
  const int left = blockIdx.x * 32, top = blockIdx.y * 32;
  for (int i = threadIdx.y; i < 32; i += 8)
    if (top + i < rows && left + threadIdx.x < columns)
      tile[i][threadIdx.x] = x[static_cast<long long>(top + i) * columns + left + threadIdx.x];
  for (int i = threadIdx.y; i < 32; i += 8)
    if (left + i < columns && top + threadIdx.x < rows)
      y[static_cast<long long>(left + i) * rows + top + threadIdx.x] = tile[threadIdx.x][i];
}
