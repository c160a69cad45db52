/* launch.toml
[sizes]
batch = "in0.shape[0]"
channels = "in0.shape[1]"
pixels = "in0.shape[2] * in0.shape[3]"

[[launch]]
kernel = "channels_last"
grid = ["cdiv(pixels, 32)", "cdiv(channels, 32)", "batch"]
block = [32, 8]
arguments = ["in0", "in1", "in2", "out0", "i32 channels", "i32 in0.shape[2]", "i32 in0.shape[3]", "i64 out0.stride[0]",
  "i64 out0.stride[1]", "i64 out0.stride[2]", "i64 out0.stride[3]"]
*/
// task: channels_last
// from: channels_last_strided
// category: strides
// bug: Writes channels last in a row, while the output's strides keep the input's order in memory.

extern "C" __global__ void __launch_bounds__(256)
    channels_last(const float* __restrict__ x, const float* __restrict__ mean, const float* __restrict__ scale,
                  float* __restrict__ y, int channels, int height, int width, long long batch_stride,
                  long long row_stride, long long column_stride, long long channel_stride) {
  const int pixel = blockIdx.x * 32 + threadIdx.x, pixels = height * width;
  if (pixel >= pixels) return;
  const long long image = static_cast<long long>(blockIdx.z) * channels * pixels;
  const long long to = blockIdx.z * batch_stride + static_cast<long long>(pixel) * channels;
  for (int i = threadIdx.y; i < 32; i += 8) {
    const int channel = blockIdx.y * 32 + i;
    if (channel >= channels) break;
    const float v = x[image + static_cast<long long>(channel) * pixels + pixel];
    y[to + channel] = (v - mean[channel]) * scale[channel];
  }
}
