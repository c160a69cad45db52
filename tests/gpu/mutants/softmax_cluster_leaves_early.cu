/* launch.toml
[sizes]
rows = "in0.shape[0]"
columns = "in0.shape[1]"

[[launch]]
kernel = "softmax_cluster"
grid = [4, "rows"]
block = [128]
cluster = [4]
shared_bytes = "4 * cdiv(columns, 4)"
arguments = ["in0", "out0", "i32 columns"]
*/
// task: softmax
// from: softmax_cluster
// category: missing_sync
// bug: Blocks do not wait for their neighbours to have read, and overwrite or leave the shared memory meanwhile.
// race: needs a block that is ahead of its neighbours
#include <cooperative_groups.h>

namespace cg = cooperative_groups;

__device__ float block_fold(float v, bool maximum, float* partial) {
  for (int offset = 16; offset > 0; offset /= 2) {
    const float other = __shfl_xor_sync(0xffffffffu, v, offset);
    v = maximum ? fmaxf(v, other) : v + other;
  }
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = v;
  __syncthreads();
  v = partial[0];
  for (int w = 1; w < 4; w++) v = maximum ? fmaxf(v, partial[w]) : v + partial[w];
  __syncthreads();
  return v;
}

__device__ float cluster_fold(float v, bool maximum, float* mine) {
  cg::cluster_group cluster = cg::this_cluster();
  if (threadIdx.x == 0) *mine = v;
  cluster.sync();
  v = *cluster.map_shared_rank(mine, 0);
  for (int rank = 1; rank < 4; rank++) {
    const float other = *cluster.map_shared_rank(mine, rank);
    v = maximum ? fmaxf(v, other) : v + other;
  }
  return v;
}

extern "C" __global__ void __launch_bounds__(128)
    softmax_cluster(const float* __restrict__ x, float* __restrict__ y, int columns) {
  extern __shared__ float quarter[];
  __shared__ float partial[4];
  __shared__ float mine;
  const int share = (columns + 3) / 4;
  const int begin = min(columns, static_cast<int>(blockIdx.x) * share), count = min(columns - begin, share);
  const float* in = x + static_cast<long long>(blockIdx.y) * columns + begin;
  float* out = y + static_cast<long long>(blockIdx.y) * columns + begin;
  float top = -INFINITY;
  for (int c = threadIdx.x; c < count; c += 128) {
    quarter[c] = in[c];
    top = fmaxf(top, quarter[c]);
  }
  top = cluster_fold(block_fold(top, true, partial), true, &mine);
  float sum = 0.0f;
  for (int c = threadIdx.x; c < count; c += 128) {
    quarter[c] = expf(quarter[c] - top);
    sum += quarter[c];
  }
  const float scale = 1.0f / cluster_fold(block_fold(sum, false, partial), false, &mine);
  for (int c = threadIdx.x; c < count; c += 128) out[c] = quarter[c] * scale;
}
