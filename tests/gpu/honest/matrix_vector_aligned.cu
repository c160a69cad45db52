/* launch.toml
[sizes]
rows = "in0.shape[0]"
columns = "in0.shape[1]"

[[launch]]
kernel = "matrix_vector_by_four"
when = "columns % 4 == 0"
grid = ["cdiv(rows, 8)"]
block = [32, 8]
arguments = ["in0", "in1", "out0", "i32 rows", "i32 columns"]

[[launch]]
kernel = "matrix_vector"
when = "columns % 4 != 0"
grid = ["cdiv(rows, 8)"]
block = [32, 8]
arguments = ["in0", "in1", "out0", "i32 rows", "i32 columns"]
*/
// task: matrix_vector
// style: vectors of four where the rows are aligned for them, else single loads
// story: A row's start is aligned only where four divides its length; the plan decides, not the kernel.

__device__ __forceinline__ float warp_sum(float v) {
  for (int offset = 16; offset > 0; offset /= 2) v += __shfl_down_sync(0xffffffffu, v, offset);
  return v;
}

extern "C" __global__ void __launch_bounds__(256)
    matrix_vector_by_four(const float* __restrict__ a, const float* __restrict__ x, float* __restrict__ y, int rows,
                          int columns) {
  const int row = blockIdx.x * 8 + threadIdx.y;
  if (row >= rows) return;
  const float4* in = reinterpret_cast<const float4*>(a + static_cast<long long>(row) * columns);
  const float4* with = reinterpret_cast<const float4*>(x);
  float sum = 0.0f;
  for (int c = threadIdx.x; c < columns / 4; c += 32) {
    const float4 u = __ldcs(in + c), v = with[c];
    sum += u.x * v.x + u.y * v.y + u.z * v.z + u.w * v.w;
  }
  sum = warp_sum(sum);
  if (threadIdx.x == 0) y[row] = sum;
}

extern "C" __global__ void __launch_bounds__(256)
    matrix_vector(const float* __restrict__ a, const float* __restrict__ x, float* __restrict__ y, int rows,
                  int columns) {
  const int row = blockIdx.x * 8 + threadIdx.y;
  if (row >= rows) return;
  float sum = 0.0f;
  for (int c = threadIdx.x; c < columns; c += 32) sum += a[static_cast<long long>(row) * columns + c] * x[c];
  sum = warp_sum(sum);
  if (threadIdx.x == 0) y[row] = sum;
}
