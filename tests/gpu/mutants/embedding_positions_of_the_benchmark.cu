/* launch.toml
[sizes]
tokens = "in0.shape[1]"

[[launch]]
kernel = "embedding"
grid = ["in0.numel"]
block = [64]
arguments = ["in0", "weight0", "weight1", "out0", "i32 tokens"]
*/
// task: embedding
// from: embedding_rows
// category: hard_coded_size
// bug: Positions start again after 256 tokens, the benchmark's length.
// shape: batch=1 tokens=300

extern "C" __global__ void __launch_bounds__(64)
    embedding(const long long* __restrict__ ids, const float4* __restrict__ position, const float4* __restrict__ table,
              float4* __restrict__ y, int tokens) {
  const long long token = blockIdx.x;
  const float4 row = table[ids[token] * 64 + threadIdx.x];
  const float4 at = position[token % min(tokens, 256) * 64 + threadIdx.x];
  y[token * 64 + threadIdx.x] =
      make_float4(row.x * 16.0f + at.x, row.y * 16.0f + at.y, row.z * 16.0f + at.z, row.w * 16.0f + at.w);
}
