/* launch.toml
[sizes]
rows = "in0.shape[0]"
columns = "in0.shape[1]"
parts = "cdiv(rows, 32)"

[scratch]
tops = "4 * parts * columns"

[[launch]]
kernel = "part_tops"
grid = ["cdiv(columns, 128)", "parts"]
block = [128]
arguments = ["in0", "tops", "i32 rows", "i32 columns"]

[[launch]]
kernel = "cummax"
grid = ["cdiv(columns, 128)", "parts"]
block = [128]
arguments = ["in0", "tops", "out0", "i32 rows", "i32 columns"]
*/
// task: cummax
// from: cummax_two_level
// category: initial_value
// bug: The maximum of the parts above starts at zero.

extern "C" __global__ void __launch_bounds__(128)
    part_tops(const float* __restrict__ x, float* __restrict__ tops, int rows, int columns) {
  const int column = blockIdx.x * 128 + threadIdx.x;
  if (column >= columns) return;
  const int begin = blockIdx.y * 32, end = min(rows, begin + 32);
  float top = x[static_cast<long long>(begin) * columns + column];
  for (int row = begin + 1; row < end; row++) top = fmaxf(top, x[static_cast<long long>(row) * columns + column]);
  tops[static_cast<long long>(blockIdx.y) * columns + column] = top;
}

extern "C" __global__ void __launch_bounds__(128)
    cummax(const float* __restrict__ x, const float* __restrict__ tops, float* __restrict__ y, int rows, int columns) {
  const int column = blockIdx.x * 128 + threadIdx.x;
  if (column >= columns) return;
  float top = 0.0f;
  for (int part = 0; part < blockIdx.y; part++) top = fmaxf(top, tops[static_cast<long long>(part) * columns + column]);
  const int begin = blockIdx.y * 32, end = min(rows, begin + 32);
  for (int row = begin; row < end; row++) {
    const long long at = static_cast<long long>(row) * columns + column;
    top = fmaxf(top, x[at]);
    y[at] = top;
  }
}
