/* launch.toml
[sizes]
tokens = "in0.shape[2]"
rows = "in0.shape[0] * in0.shape[1] * tokens"

[[launch]]
kernel = "rotary"
grid = ["cdiv(rows, 8)"]
block = [32, 8]
arguments = ["in0", "in1", "in2", "out0", "i32 rows", "i32 tokens"]
*/
// task: rotary_embedding
// style: a warp for each token of a head, a pair of channels for each lane
// story: Lane i turns the pair of channels i and i + 32 by the angle of its position.

extern "C" __global__ void __launch_bounds__(256)
    rotary(const float* __restrict__ x, const float* __restrict__ cosine, const float* __restrict__ sine,
           float* __restrict__ y, int rows, int tokens) {
  const int row = blockIdx.x * 8 + threadIdx.y, lane = threadIdx.x;
  if (row >= rows) return;
  const float first = x[row * 64LL + lane], second = x[row * 64LL + 32 + lane];
  const float c = cosine[row % tokens * 32 + lane], s = sine[row % tokens * 32 + lane];
  y[row * 64LL + lane] = first * c - second * s;
  y[row * 64LL + 32 + lane] = second * c + first * s;
}
