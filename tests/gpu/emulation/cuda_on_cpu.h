// CUDA C++ on an x86-64 processor, for tests: a block's threads are fibers of one thread, which change where they wait.
//
// It shows whether kernels compute the right numbers, also where threads wait for each other and exchange values. It
// shows nothing of speed, and little of races: fibers change at barriers and shuffles only, always in the same order.
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>

#include <cmath>
#include <limits>
#include <utility>
#include <vector>

struct Uint3 {
  uint32_t x, y, z;
};

namespace emulation {

constexpr size_t kStack = 256 << 10;

struct Fiber {
  void* stack_pointer;
  std::vector<char> stack = std::vector<char>(kStack);
  Uint3 thread;
  bool done;
};

// Saves the registers that a call must keep on the present stack, and goes on with another.
extern "C" void emulation_switch(void** from, void* to);
asm(R"(
.text
.local emulation_switch
.type emulation_switch, @function
emulation_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
)");

inline void* scheduler;
inline std::vector<Fiber> fibers;
inline size_t current, alive;
inline std::vector<int> waiting;        // threads of a warp at its barrier; the last element is the block's
inline std::vector<unsigned> passed;    // how often each barrier has opened
inline std::vector<uint64_t> exchange;  // what a thread gives in a shuffle
inline std::vector<char> shared_memory;

inline size_t warp_of(size_t thread) {
  return thread / 32;
}
inline int members(size_t barrier) {
  int count = 0;
  for (size_t i = 0; i < fibers.size(); i++)
    count += !fibers[i].done && (barrier == waiting.size() - 1 || warp_of(i) == barrier);
  return count;
}
inline void yield() {
  emulation_switch(&fibers[current].stack_pointer, scheduler);
}
inline void wait(size_t barrier) {
  const unsigned before = passed[barrier];
  waiting[barrier]++;
  while (passed[barrier] == before) {
    if (waiting[barrier] >= members(barrier)) {
      waiting[barrier] = 0;
      passed[barrier]++;
      break;
    }
    yield();
  }
}

template <class T>
T shuffled(T value, int source) {
  static_assert(sizeof(T) <= 8, "a register or two");
  const size_t warp = warp_of(current);
  memcpy(&exchange[current], &value, sizeof(T));
  wait(warp);
  const size_t from = warp * 32 + static_cast<size_t>(source);
  T found = value;
  if (source >= 0 && source < 32 && from < exchange.size()) memcpy(&found, &exchange[from], sizeof(T));
  wait(warp);
  return found;
}

}  // namespace emulation

inline Uint3 blockIdx, blockDim, gridDim;
#define threadIdx (::emulation::fibers[::emulation::current].thread)
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__
#define __shared__ static
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
inline void __syncthreads() {
  emulation::wait(emulation::waiting.size() - 1);
}
inline void __syncwarp(unsigned = 0xffffffffu) {
  emulation::wait(emulation::warp_of(emulation::current));
}
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  return emulation::shuffled(value, static_cast<int>(emulation::current % 32) ^ mask);
}
template <class T>
T __shfl_up_sync(unsigned, T value, unsigned delta) {
  return emulation::shuffled(value, static_cast<int>(emulation::current % 32) - static_cast<int>(delta));
}
template <class T>
T __shfl_down_sync(unsigned, T value, unsigned delta) {
  return emulation::shuffled(value, static_cast<int>(emulation::current % 32) + static_cast<int>(delta));
}
template <class T>
T __shfl_sync(unsigned, T value, int lane) {
  return emulation::shuffled(value, lane);
}

namespace emulation {

template <class... A>
struct Call {
  static inline void (*kernel)(A...);
  static inline void** parameters;
  template <size_t... I>
  static void run(std::index_sequence<I...>) {
    kernel(*static_cast<A*>(parameters[I])...);
  }
  static void fiber() {
    run(std::index_sequence_for<A...>{});
    fibers[current].done = true;
    alive--;
    yield();
  }
};

template <class... A>
void block(void (*kernel)(A...), void** parameters) {
  Call<A...>::kernel = kernel;
  Call<A...>::parameters = parameters;
  alive = fibers.size();
  for (size_t i = 0; i < fibers.size(); i++) {
    Fiber& one = fibers[i];
    one.done = false;
    // As if it had been left at its entry, where a call leaves the stack eight bytes short of a multiple of sixteen.
    void** top = reinterpret_cast<void**>((reinterpret_cast<uintptr_t>(one.stack.data()) + kStack) & ~uintptr_t(15));
    *--top = nullptr;
    *--top = reinterpret_cast<void*>(Call<A...>::fiber);
    one.stack_pointer = top - 6;
  }
  std::fill(waiting.begin(), waiting.end(), 0);
  while (alive > 0)
    for (current = 0; current < fibers.size(); current++)
      if (!fibers[current].done) emulation_switch(&scheduler, fibers[current].stack_pointer);
}

template <class... A>
void launch(void (*kernel)(A...), const uint32_t* grid, const uint32_t* threads, uint32_t shared, void** parameters) {
  gridDim = {grid[0], grid[1], grid[2]}, blockDim = {threads[0], threads[1], threads[2]};
  const size_t count = size_t(threads[0]) * threads[1] * threads[2];
  if (fibers.size() != count) fibers = std::vector<Fiber>(count);
  waiting.assign((count + 31) / 32 + 1, 0);
  passed.assign(waiting.size(), 0);
  exchange.assign((count + 31) / 32 * 32, 0);
  shared_memory.assign(shared + 16, 0x5A);
  for (size_t i = 0; i < count; i++)
    fibers[i].thread = {uint32_t(i % threads[0]), uint32_t(i / threads[0] % threads[1]),
                        uint32_t(i / threads[0] / threads[1])};
  for (blockIdx.z = 0; blockIdx.z < gridDim.z; blockIdx.z++)
    for (blockIdx.y = 0; blockIdx.y < gridDim.y; blockIdx.y++)
      for (blockIdx.x = 0; blockIdx.x < gridDim.x; blockIdx.x++) block(kernel, parameters);
}

}  // namespace emulation
