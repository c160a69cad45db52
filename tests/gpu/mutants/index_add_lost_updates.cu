/* launch.toml
[sizes]
messages = "in1.numel"
count = "in0.numel"
width = "in0.shape[1]"

[[launch]]
kernel = "copy"
grid = ["cdiv(count, 256)"]
block = [256]
arguments = ["in0", "out0", "i32 count"]

[[launch]]
kernel = "scatter"
grid = ["cdiv(messages * width, 256)"]
block = [256]
arguments = ["in1", "in2", "out0", "i32 messages", "i32 width"]
*/
// task: index_add
// from: none
// category: race
// bug: Adds without atomics: of two messages that reach a node at the same time one is lost.
// not emulated: lost updates need threads that meet within one statement
// race: shows where two messages for one node are under way together

extern "C" __global__ void copy(const float* __restrict__ base, float* __restrict__ y, int count) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i < count) y[i] = base[i];
}

extern "C" __global__ void scatter(const long long* __restrict__ index, const float* __restrict__ message,
                                   float* __restrict__ y, int messages, int width) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i < messages * width) y[index[i / width] * width + i % width] += message[i];
}
