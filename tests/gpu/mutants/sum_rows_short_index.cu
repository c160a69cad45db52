/* launch.toml
[sizes]
rows = "in0.shape[0]"
columns = "in0.shape[1]"
parts = "cdiv(rows, 64)"

[scratch]
partial = "4 * parts * columns"

[[launch]]
kernel = "sum_part"
grid = ["cdiv(columns, 32)", "parts"]
block = [32, 8]
arguments = ["in0", "partial", "i32 rows", "i32 columns"]

[[launch]]
kernel = "sum_parts"
grid = ["cdiv(columns, 128)"]
block = [128]
arguments = ["partial", "out0", "i32 parts", "i32 columns"]
*/
// task: sum_rows
// from: sum_rows_split
// category: overflow
// bug: The index into the partial sums is kept in 16 bits, which the benchmark's size fills to the last number.
// shape: rows=2112 cols=1024

extern "C" __global__ void __launch_bounds__(256)
    sum_part(const float* __restrict__ x, float* __restrict__ partial, int rows, int columns) {
  __shared__ float lane[8][33];
  const int column = blockIdx.x * 32 + threadIdx.x;
  const int end = min(rows, static_cast<int>(blockIdx.y + 1) * 64);
  float sum = 0.0f;
  if (column < columns)
    for (int row = blockIdx.y * 64 + threadIdx.y; row < end; row += 8)
      sum += x[static_cast<long long>(row) * columns + column];
  lane[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  for (int half = 4; half > 0; half /= 2) {
    if (threadIdx.y < half) lane[threadIdx.y][threadIdx.x] += lane[threadIdx.y + half][threadIdx.x];
    __syncthreads();
  }
  if (threadIdx.y == 0 && column < columns)
    partial[static_cast<short>(blockIdx.y * columns + column)] = lane[0][threadIdx.x];
}

extern "C" __global__ void __launch_bounds__(128)
    sum_parts(const float* __restrict__ partial, float* __restrict__ y, int parts, int columns) {
  const int column = blockIdx.x * 128 + threadIdx.x;
  if (column >= columns) return;
  float sum = 0.0f;
  for (int part = 0; part < parts; part++) sum += partial[static_cast<long long>(part) * columns + column];
  y[column] = sum;
}
