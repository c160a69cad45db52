/* launch.toml
[sizes]
pixels = "in0.shape[2] * in0.shape[3]"

[[launch]]
kernel = "group_norm"
grid = [8, "in0.shape[0]"]
block = [512]
arguments = ["in0", "weight0", "weight1", "out0", "i32 pixels"]
*/
// task: group_norm
// from: group_norm_compensated
// category: wrong_axis
// bug: Weight and bias are taken as if channels were the last dimension, which equal weights hide.

constexpr int kChannels = 8;  // of a group

__device__ float block_sum(float v) {
  __shared__ float partial[16];
  for (int offset = 16; offset > 0; offset /= 2) v += __shfl_xor_sync(0xffffffffu, v, offset);
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = v;
  __syncthreads();
  v = 0.0f;
  for (int w = 0; w < 16; w++) v += partial[w];
  __syncthreads();
  return v;
}

struct Compensated {
  float sum = 0.0f, lost = 0.0f;
  __device__ void add(float v) {
    const float corrected = v - lost, next = sum + corrected;
    lost = (next - sum) - corrected;
    sum = next;
  }
};

extern "C" __global__ void __launch_bounds__(512)
    group_norm(const float* __restrict__ x, const float* __restrict__ weight, const float* __restrict__ bias,
               float* __restrict__ y, int pixels) {
  const int count = kChannels * pixels;
  const long long begin = (static_cast<long long>(blockIdx.y) * gridDim.x + blockIdx.x) * count;
  const float pivot = x[begin];  // differences are small where the mean is large
  Compensated sum, squares;
  for (int i = threadIdx.x; i < count; i += 512) sum.add(x[begin + i] - pivot);
  const float mean = block_sum(sum.sum) / static_cast<float>(count);
  for (int i = threadIdx.x; i < count; i += 512) {
    const float centred = x[begin + i] - pivot - mean;
    squares.add(centred * centred);
  }
  const float inverse = rsqrtf(block_sum(squares.sum) / static_cast<float>(count) + 1e-5f);
  for (int i = threadIdx.x; i < count; i += 512) {
    const int channel = blockIdx.x * kChannels + i % kChannels;
    y[begin + i] = (x[begin + i] - pivot - mean) * (inverse * weight[channel]) + bias[channel];
  }
}
