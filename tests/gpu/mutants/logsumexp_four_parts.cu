/* launch.toml
[sizes]
rows = "in0.shape[0]"
columns = "in0.shape[1]"
parts = "min(cdiv(columns, 256), 8)"

[scratch]
tops = "4 * rows * parts"
sums = "4 * rows * parts"

[[launch]]
kernel = "logsumexp_part"
grid = ["parts", "rows"]
block = [128]
arguments = ["in0", "tops", "sums", "i32 columns"]

[[launch]]
kernel = "logsumexp_merge"
grid = ["cdiv(rows, 128)"]
block = [128]
arguments = ["tops", "sums", "out0", "i32 rows", "i32 parts"]
*/
// task: logsumexp
// from: logsumexp_split
// category: hard_coded_size
// bug: The merge takes four parts, as many as the benchmark has.
// shape: rows=3 cols=1500

extern "C" __global__ void __launch_bounds__(128)
    logsumexp_part(const float* __restrict__ x, float* __restrict__ tops, float* __restrict__ sums, int columns) {
  __shared__ float partial[128];
  const int share = (columns + gridDim.x - 1) / gridDim.x;
  const int begin = blockIdx.x * share, end = min(columns, begin + share);
  const float* in = x + static_cast<long long>(blockIdx.y) * columns;
  float top = -INFINITY;
  for (int c = begin + threadIdx.x; c < end; c += 128) top = fmaxf(top, in[c]);
  partial[threadIdx.x] = top;
  __syncthreads();
  for (int half = 64; half > 0; half /= 2) {
    if (threadIdx.x < half) partial[threadIdx.x] = fmaxf(partial[threadIdx.x], partial[threadIdx.x + half]);
    __syncthreads();
  }
  top = partial[0];
  __syncthreads();
  float sum = 0.0f;
  for (int c = begin + threadIdx.x; c < end; c += 128) sum += expf(in[c] - top);
  partial[threadIdx.x] = sum;
  __syncthreads();
  for (int half = 64; half > 0; half /= 2) {
    if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) {
    tops[blockIdx.y * gridDim.x + blockIdx.x] = top;
    sums[blockIdx.y * gridDim.x + blockIdx.x] = partial[0];
  }
}

extern "C" __global__ void __launch_bounds__(128)
    logsumexp_merge(const float* __restrict__ tops, const float* __restrict__ sums, float* __restrict__ y, int rows,
                    int parts) {
  const int row = blockIdx.x * 128 + threadIdx.x;
  if (row >= rows) return;
  float top = -INFINITY;
  for (int part = 0; part < parts; part++) top = fmaxf(top, tops[row * parts + part]);
  float sum = 0.0f;
  for (int part = 0; part < 4; part++) {
    const float own = tops[row * parts + part];
    if (own != -INFINITY) sum += sums[row * parts + part] * expf(own - top);
  }
  y[row] = top + logf(sum);
}
