// The program around emulated kernels: buffers and calls come in on standard input, what the buffers hold goes out.
//
// Numbers are int64, little-endian. In: the schedule; the seed of the random bytes; the number of buffers, and of each
// its bytes and whether its contents are given (1) or random (0) before each call; the number of calls; of each call
// the contents of the given buffers, the number of launches, and of each launch the kernel's number, grid, block,
// blocks of a cluster, shared bytes, the number of parameters, and of each its buffer's number or -1, its bytes, and
// those bytes padded to eight. Out, after each call: every buffer's bytes.
#ifndef CUDA_ON_CPU_JOB_H
#define CUDA_ON_CPU_JOB_H

#include "cuda_on_cpu.h"

namespace cuda_on_cpu {

struct Kernel {
  void (*call)(void**);
  std::vector<size_t> parameter_bytes;
};

template <auto kernel>
struct Wrapped;
template <typename... P, void (*kernel)(P...)>
struct Wrapped<kernel> {
  template <size_t... I>
  static void apply(void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_const_t<P>*>(arguments[I])...);
  }
  static void call(void** arguments) { apply(arguments, std::index_sequence_for<P...>{}); }
  static Kernel described() { return {&call, {sizeof(P)...}}; }
};

// Memory between unmapped pages, aligned to 16 bytes and as close to its end as that allows; the margins are checked.
class Buffer {
 public:
  Buffer(size_t bytes, bool given) : bytes_(bytes), given_(given) {
    inner_ = (bytes + 16 + kPage - 1) / kPage * kPage;
    char* base = static_cast<char*>(
        mmap(nullptr, inner_ + 2 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (base == MAP_FAILED || mprotect(base, kPage, PROT_NONE) != 0 ||
        mprotect(base + kPage + inner_, kPage, PROT_NONE) != 0)
      fail("no memory for a buffer");
    inside_ = base + kPage;
    data_ = inside_ + (inner_ - bytes) / 16 * 16;
    fill_randomly(inside_, inner_);
    margins_.assign(inside_, inside_ + inner_);
  }

  char* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  bool given() const { return given_; }

  void check() const {
    const size_t begin = data_ - inside_, end = begin + bytes_;
    if (memcmp(inside_, margins_.data(), begin) != 0) fail("a write before the start of a buffer");
    if (memcmp(inside_ + end, margins_.data() + end, inner_ - end) != 0) fail("a write past the end of a buffer");
  }

 private:
  size_t bytes_, inner_;
  bool given_;
  char *inside_, *data_;
  std::vector<char> margins_;
};

inline void read_bytes(void* to, size_t bytes) {
  if (fread(to, 1, bytes, stdin) != bytes) fail("the job ends too early");
}

inline int64_t read_number() {
  int64_t value;
  read_bytes(&value, sizeof value);
  return value;
}

inline dim3 read_sizes() {
  dim3 sizes;
  sizes.x = static_cast<unsigned>(read_number());
  sizes.y = static_cast<unsigned>(read_number());
  sizes.z = static_cast<unsigned>(read_number());
  return sizes;
}

inline void run_launch(const std::vector<Kernel>& kernels, std::vector<Buffer>& buffers, int schedule) {
  const Kernel& kernel = kernels.at(read_number());
  const dim3 grid = read_sizes(), block = read_sizes();
  const int cluster = static_cast<int>(read_number());
  const size_t shared = read_number(), count = read_number();
  if (count != kernel.parameter_bytes.size()) fail("the plan's arguments are not as many as the kernel's parameters");
  std::vector<uint64_t> values(count);
  std::vector<void*> arguments(count);
  for (size_t i = 0; i < count; i++) {
    const int64_t buffer = read_number(), bytes = read_number();
    read_bytes(&values[i], 8);
    if (static_cast<size_t>(bytes) != kernel.parameter_bytes[i]) fail("an argument's size is not its parameter's");
    if (buffer >= 0) {
      char* address = buffers.at(buffer).data();
      memcpy(&values[i], &address, 8);
    }
    arguments[i] = &values[i];
  }
  launch(kernel.call, arguments.data(), grid, block, cluster, shared, schedule);
}

inline int serve(const std::vector<Kernel>& kernels) {
  const int schedule = static_cast<int>(read_number());
  random_state ^= static_cast<uint64_t>(read_number()) * 0x9e3779b97f4a7c15ull;
  std::vector<Buffer> buffers;
  for (int64_t left = read_number(); left > 0; left--) {
    const int64_t bytes = read_number();
    buffers.emplace_back(bytes, read_number() != 0);
  }
  for (int64_t calls = read_number(); calls > 0; calls--) {
    for (Buffer& buffer : buffers) {
      if (buffer.given())
        read_bytes(buffer.data(), buffer.bytes());
      else
        fill_randomly(buffer.data(), buffer.bytes());
    }
    for (int64_t left = read_number(); left > 0; left--) run_launch(kernels, buffers, schedule);
    for (const Buffer& buffer : buffers) {
      buffer.check();
      fwrite(buffer.data(), 1, buffer.bytes(), stdout);
    }
  }
  return 0;
}

}  // namespace cuda_on_cpu

#define EMULATED(kernel) cuda_on_cpu::Wrapped<&kernel>::described()

#endif
