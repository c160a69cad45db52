/* launch.toml
[sizes]
rows = "in0.shape[0]"
classes = "in0.shape[1]"

[[launch]]
kernel = "cross_entropy"
grid = ["cdiv(rows, 8)"]
block = [32, 8]
arguments = ["in0", "in1", "out0", "i32 rows", "i32 classes"]
*/
// task: cross_entropy
// style: a warp for each row, maximum first, then the sum of exponentials
// story: Targets are 64-bit indices; the target's logit is read once by the lane that writes.

extern "C" __global__ void __launch_bounds__(256)
    cross_entropy(const float* __restrict__ logits, const long long* __restrict__ target, float* __restrict__ loss,
                  int rows, int classes) {
  const int row = blockIdx.x * 8 + threadIdx.y;
  if (row >= rows) return;
  const float* in = logits + static_cast<long long>(row) * classes;
  float top = -INFINITY;
  for (int c = threadIdx.x; c < classes; c += 32) top = fmaxf(top, in[c]);
  for (int offset = 16; offset > 0; offset /= 2) top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, offset));
  float sum = 0.0f;
  for (int c = threadIdx.x; c < classes; c += 32) sum += expf(in[c] - top);
  for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, offset);
  if (threadIdx.x == 0) loss[row] = logf(sum) - (in[target[row]] - top);
}
