/* launch.toml
[sizes]
planes = "in0.shape[0] * in0.shape[1]"
height = "in0.shape[2]"
width = "in0.shape[3]"
count = "out0.numel"

[[launch]]
kernel = "max_pool2d"
grid = ["cdiv(count, 256)"]
block = [256]
arguments = ["in0", "out0", "i32 count", "i32 height", "i32 width", "i32 out0.shape[2]", "i32 out0.shape[3]"]
*/
// task: max_pool2d
// style: a thread for each result, flat index
// story: Windows are cut at the image's edge rather than padded.

extern "C" __global__ void __launch_bounds__(256)
    max_pool2d(const float* __restrict__ x, float* __restrict__ y, int count, int height, int width, int out_height,
               int out_width) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= count) return;
  const int column = i % out_width, row = i / out_width % out_height, plane = i / (out_width * out_height);
  const float* in = x + static_cast<long long>(plane) * height * width;
  float top = -INFINITY;
  for (int r = max(0, 2 * row - 1); r < min(height, 2 * row + 2); r++)
    for (int c = max(0, 2 * column - 1); c < min(width, 2 * column + 2); c++) top = fmaxf(top, in[r * width + c]);
  y[i] = top;
}
