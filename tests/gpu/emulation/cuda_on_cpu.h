// Enough of CUDA C++ to run kernels of device code on a CPU: one fiber for each thread of a block, block after block.
//
// For tests of trusted files only; it isolates nothing. What it makes visible: uninitialised shared memory (random
// bytes before each block), accesses past a buffer (unmapped pages, checked margins), misaligned vectors (trapped by
// the sanitiser), a missing barrier (greedy schedules that let some threads run ahead of all others), and lanes that
// take part in no exchange (random bits are read from them). What it cannot show: threads that meet within one
// statement (lost updates), weak memory order, blocks that wait for each other, and the rounding of the GPU's
// approximations.
#ifndef CUDA_ON_CPU_H
#define CUDA_ON_CPU_H

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <type_traits>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __shared__ static __attribute__((section("emulated_shared")))
#define __CUDA_ARCH__ 900

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x = 1, y = 1, z = 1;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) int2 {
  int x, y;
};
struct alignas(16) int4 {
  int x, y, z, w;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline float2 make_float2(float x, float y) {
  return {x, y};
}
inline float4 make_float4(float x, float y, float z, float w) {
  return {x, y, z, w};
}
inline int2 make_int2(int x, int y) {
  return {x, y};
}

// The start and end of all __shared__ variables, from the linker; null where a kernel has none.
extern "C" {
extern char __start_emulated_shared[] __attribute__((weak, visibility("hidden")));
extern char __stop_emulated_shared[] __attribute__((weak, visibility("hidden")));
}

namespace cuda_on_cpu {

constexpr int kMostThreads = 8 * 1024;  // of a cluster
constexpr int kMostBlocks = 8;
constexpr int kMostWarps = kMostThreads / 32;
constexpr size_t kStackBytes = 64 << 10;
constexpr size_t kPage = 4096;

enum class State { kReady, kAtBlock, kAtCluster, kAtWarp, kDone };

struct Thread {
  uint3 index;
  int lane, warp;
  int block;  // its number in the cluster
  int rank;   // its place in the schedule
  State state;
  unsigned mask;      // of the warp barrier at which it waits
  unsigned together;  // the lanes with which it left the last warp barrier
  uint64_t slot;      // what it shows to its warp, or its vote in a block
  bool started;
  ucontext_t first;
  jmp_buf later;
};

inline Thread threads[kMostThreads];
inline Thread* current;
inline int thread_count;  // of a cluster, which is a single block but for kernels that ask for more
inline int block_threads, cluster_blocks;
inline int first_rank;        // no thread of a lower rank can run
inline int at_cluster, done;  // threads of the cluster at its barrier, and those that have ended
inline int at_block[kMostBlocks], block_done[kMostBlocks];  // the same for each block
inline unsigned waiting[kMostWarps];                        // of each warp: lanes at a warp barrier
inline unsigned ended[kMostWarps];                          // and lanes that have ended
inline dim3 grid_size, block_size;
inline uint3 block_index;                      // of the cluster's first block
inline char* dynamic_shared;                   // of the block that runs
inline std::vector<char> images[kMostBlocks];  // the __shared__ variables of the blocks that do not run
inline int loaded_block;
inline size_t dynamic_shared_bytes;
inline ucontext_t scheduler_first;
inline jmp_buf scheduler_later;
inline void (*body)(void**);
inline void** body_arguments;
inline uint64_t random_state = 88172645463325252ull;

[[noreturn]] inline void fail(const char* what) {
  fprintf(stderr, "emulation: %s\n", what);
  exit(3);
}

inline uint64_t random_bits() {  // xorshift64
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  return random_state ^= random_state << 17;
}

inline void fill_randomly(char* from, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 8) {
    const uint64_t bits = random_bits();
    memcpy(from + i, &bits, std::min<size_t>(8, bytes - i));
  }
}

inline void pause_thread() {
  Thread* self = current;
  if (_setjmp(self->later) == 0) _longjmp(scheduler_later, 1);
}

inline void release(Thread* thread) {
  thread->state = State::kReady;
  first_rank = std::min(first_rank, thread->rank);
}

inline void release_block_if_complete(int block) {
  if (at_block[block] == 0 || at_block[block] + block_done[block] < block_threads) return;
  at_block[block] = 0;
  for (int i = block * block_threads; i < (block + 1) * block_threads; i++)
    if (threads[i].state == State::kAtBlock) release(&threads[i]);
}

inline void release_cluster_if_complete() {
  if (at_cluster == 0 || at_cluster + done < thread_count) return;
  at_cluster = 0;
  for (int i = 0; i < thread_count; i++)
    if (threads[i].state == State::kAtCluster) release(&threads[i]);
}

// All lanes of a mask leave together once each of them waits or has ended.
inline void release_warp_if_complete(int warp, unsigned mask) {
  if (mask & ~(waiting[warp] | ended[warp])) return;
  const unsigned together = mask & waiting[warp];
  waiting[warp] &= ~together;
  for (unsigned left = together; left != 0; left &= left - 1) {
    Thread* thread = &threads[warp * 32 + __builtin_ctz(left)];
    thread->together = together;
    release(thread);
  }
}

inline void block_barrier() {
  current->state = State::kAtBlock;
  at_block[current->block]++;
  release_block_if_complete(current->block);
  pause_thread();
}

inline void cluster_barrier() {
  current->state = State::kAtCluster;
  at_cluster++;
  release_cluster_if_complete();
  pause_thread();
}

inline void warp_barrier(unsigned mask) {
  if (!(mask >> current->lane & 1)) fail("a lane takes part in a warp operation whose mask leaves it out");
  const int absent = 32 - std::min(32, thread_count - current->warp * 32);  // of a block's last warp
  current->state = State::kAtWarp;
  current->mask = mask & 0xffffffffu >> absent;
  waiting[current->warp] |= 1u << current->lane;
  release_warp_if_complete(current->warp, current->mask);
  pause_thread();
}

// What lane `from` of the warp shows, random bits where it shows nothing, after all lanes of the mask have met.
template <typename T>
T exchange(unsigned mask, T value, int from) {
  static_assert(sizeof(T) <= 8);
  current->slot = 0;
  memcpy(&current->slot, &value, sizeof(T));
  warp_barrier(mask);
  uint64_t bits = random_bits();
  if (current->together >> from & 1) bits = threads[current->warp * 32 + from].slot;
  warp_barrier(mask);
  T found;
  memcpy(&found, &bits, sizeof(T));
  return found;
}

template <typename Combine>
unsigned warp_fold(unsigned mask, unsigned value, Combine combine) {
  current->slot = value;
  warp_barrier(mask);
  unsigned found = 0;
  bool any = false;
  for (int lane = 0; lane < 32; lane++) {
    if (!(current->together >> lane & 1)) continue;
    const unsigned shown = static_cast<unsigned>(threads[current->warp * 32 + lane].slot);
    found = any ? combine(found, shown, lane) : combine(0u, shown, lane | 64);
    any = true;
  }
  warp_barrier(mask);
  return found;
}

inline int block_count(int vote) {
  current->slot = vote != 0;
  block_barrier();
  int found = 0;
  for (int i = current->block * block_threads; i < (current->block + 1) * block_threads; i++)
    found += threads[i].state != State::kDone && threads[i].slot != 0;
  block_barrier();
  return found;
}

inline void end_thread() {
  const int warp = current->warp;
  current->state = State::kDone;
  done++;
  block_done[current->block]++;
  ended[warp] |= 1u << current->lane;
  release_block_if_complete(current->block);
  release_cluster_if_complete();
  for (unsigned left = waiting[warp]; left != 0; left &= left - 1)
    release_warp_if_complete(warp, threads[warp * 32 + __builtin_ctz(left)].mask);
}

// A fiber serves block after block.
inline void fiber_main() {
  for (;;) {
    body(body_arguments);
    end_thread();
    pause_thread();
  }
}

// Each block's dynamic shared memory ends at an unmapped page.
inline char* dynamic_shared_of(int block) {
  static char* area = nullptr;
  constexpr size_t kArea = 256 << 10, kStep = kArea + kPage;
  if (area == nullptr) {
    void* found =
        mmap(nullptr, kMostBlocks * kStep, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    area = static_cast<char*>(found);
    if (found == MAP_FAILED) fail("no shared memory");
    for (int i = 0; i < kMostBlocks; i++)
      if (mprotect(area + i * kStep + kArea, kPage, PROT_NONE) != 0) fail("no shared memory");
  }
  return area + block * kStep + kArea - dynamic_shared_bytes;
}

// All blocks of a cluster share the addresses of their __shared__ variables, so these change places with the block.
inline void load_shared(int block) {
  if (block == loaded_block) return;
  const size_t bytes = __stop_emulated_shared - __start_emulated_shared;
  if (__start_emulated_shared != nullptr) {
    memcpy(images[loaded_block].data(), __start_emulated_shared, bytes);
    memcpy(__start_emulated_shared, images[block].data(), bytes);
  }
  loaded_block = block;
  dynamic_shared = dynamic_shared_of(block);
}

// The place in another block's shared memory that corresponds to one in this block's.
inline char* shared_place(char* mine, int block) {
  if (block == loaded_block) return mine;
  if (mine >= dynamic_shared && mine < dynamic_shared + dynamic_shared_bytes)
    return dynamic_shared_of(block) + (mine - dynamic_shared);
  if (mine < __start_emulated_shared || mine >= __stop_emulated_shared) fail("a place that is not in shared memory");
  return images[block].data() + (mine - __start_emulated_shared);
}

inline void run_until_it_waits(Thread* thread) {
  load_shared(thread->block);
  current = thread;
  if (_setjmp(scheduler_later) != 0) return;
  if (thread->started) _longjmp(thread->later, 1);
  thread->started = true;
  swapcontext(&scheduler_first, &thread->first);
}

// The block's threads in the order of `order`: always the first that can run, so that it gets as far ahead as it can.
inline void run_block(const std::vector<int>& order) {
  while (done < thread_count) {
    while (first_rank < thread_count && threads[order[first_rank]].state != State::kReady) first_rank++;
    if (first_rank == thread_count) fail("deadlock: every thread waits at a barrier that others never reach");
    run_until_it_waits(&threads[order[first_rank]]);
  }
}

inline char* stack_of(int number) {
  static char* stacks = nullptr;
  if (stacks == nullptr) {
    stacks = static_cast<char*>(mmap(nullptr, kStackBytes * kMostThreads, PROT_READ | PROT_WRITE,
                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (stacks == MAP_FAILED) fail("no memory for stacks");
  }
  return stacks + number * kStackBytes;
}

inline void make_fiber(int number) {
  Thread& t = threads[number];
  t.lane = number % 32, t.warp = number / 32;
  getcontext(&t.first);
  t.first.uc_stack.ss_sp = stack_of(number);
  t.first.uc_stack.ss_size = kStackBytes;
  t.first.uc_link = nullptr;
  makecontext(&t.first, fiber_main, 0);
}

inline void prepare_threads(const std::vector<int>& order) {
  static int made = 0;
  for (; made < thread_count; made++) make_fiber(made);
  first_rank = at_cluster = done = 0;
  for (int i = 0; i < cluster_blocks; i++) at_block[i] = block_done[i] = 0;
  for (int i = 0; i < (thread_count + 31) / 32; i++) waiting[i] = ended[i] = 0;
  for (int rank = 0; rank < thread_count; rank++) {
    Thread& t = threads[order[rank]];
    const unsigned n = order[rank] % block_threads;
    t.index = {n % block_size.x, n / block_size.x % block_size.y, n / (block_size.x * block_size.y)};
    t.rank = rank, t.block = order[rank] / block_threads, t.state = State::kReady;
  }
}

inline void shuffle(std::vector<int>& order) {
  for (size_t i = order.size(); i > 1; i--) std::swap(order[i - 1], order[random_bits() % i]);
}

// Schedule 0 lets low numbers run ahead, 1 high ones, and others shuffle threads and blocks.
inline std::vector<int> ordered(int count, int schedule) {
  std::vector<int> order(count);
  for (int i = 0; i < count; i++) order[i] = schedule == 1 ? count - 1 - i : i;
  if (schedule > 1) shuffle(order);
  return order;
}

inline void prepare_shared() {
  const size_t bytes = __stop_emulated_shared - __start_emulated_shared;
  for (int block = 0; block < cluster_blocks; block++) {
    images[block].resize(bytes);
    fill_randomly(images[block].data(), bytes);
    fill_randomly(dynamic_shared_of(block), dynamic_shared_bytes);
  }
  if (bytes != 0) memcpy(__start_emulated_shared, images[0].data(), bytes);
  loaded_block = 0;
  dynamic_shared = dynamic_shared_of(0);
}

// One cluster after the other; clusters extend along the grid's first dimension only.
inline void launch(void (*kernel)(void**), void** arguments, dim3 grid, dim3 block, int cluster, size_t shared,
                   int schedule) {
  body = kernel, body_arguments = arguments, grid_size = grid, block_size = block, cluster_blocks = cluster;
  block_threads = static_cast<int>(block.x * block.y * block.z);
  thread_count = block_threads * cluster;
  if (cluster > 1 && block_threads % 32 != 0) fail("blocks of a cluster must have whole warps here");
  dynamic_shared_bytes = (shared + 15) / 16 * 16;
  for (int number : ordered(static_cast<int>(grid.x * grid.y * grid.z) / cluster, schedule)) {
    const unsigned n = number * cluster;
    block_index = {n % grid.x, n / grid.x % grid.y, n / (grid.x * grid.y)};
    prepare_shared();
    const std::vector<int> order = ordered(thread_count, schedule);
    prepare_threads(order);
    run_block(order);
  }
}

inline uint3 current_block_index() {
  return {block_index.x + current->block, block_index.y, block_index.z};
}

}  // namespace cuda_on_cpu

#define threadIdx (cuda_on_cpu::current->index)
#define blockIdx (cuda_on_cpu::current_block_index())
#define blockDim (cuda_on_cpu::block_size)
#define gridDim (cuda_on_cpu::grid_size)
#define warpSize 32

inline void __syncthreads() {
  cuda_on_cpu::block_barrier();
}
inline int __syncthreads_count(int vote) {
  return cuda_on_cpu::block_count(vote);
}
inline int __syncthreads_or(int vote) {
  return cuda_on_cpu::block_count(vote) != 0;
}
inline int __syncthreads_and(int vote) {
  return cuda_on_cpu::block_count(!vote) == 0;
}
inline void __syncwarp(unsigned mask = 0xffffffffu) {
  cuda_on_cpu::warp_barrier(mask);
}
inline void __threadfence() {}
inline void __threadfence_block() {}

template <typename T>
T __shfl_sync(unsigned mask, T value, int from, int width = 32) {
  const int lane = cuda_on_cpu::current->lane;
  return cuda_on_cpu::exchange(mask, value, lane / width * width + (from & (width - 1)));
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const int lane = cuda_on_cpu::current->lane, from = lane - static_cast<int>(delta);
  return cuda_on_cpu::exchange(mask, value, from < lane / width * width ? lane : from);
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const int lane = cuda_on_cpu::current->lane, from = lane + static_cast<int>(delta);
  return cuda_on_cpu::exchange(mask, value, from >= (lane / width + 1) * width ? lane : from);
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32) {
  const int lane = cuda_on_cpu::current->lane, from = lane ^ bits;
  return cuda_on_cpu::exchange(mask, value, from >= (lane / width + 1) * width ? lane : from);
}
inline unsigned __ballot_sync(unsigned mask, int vote) {
  return cuda_on_cpu::warp_fold(mask, vote != 0, [](unsigned sum, unsigned shown, int lane) {
    return (lane & 64 ? 0u : sum) | shown << (lane & 31);
  });
}
inline int __any_sync(unsigned mask, int vote) {
  return __ballot_sync(mask, vote) != 0;
}
inline int __all_sync(unsigned mask, int vote) {
  return __ballot_sync(mask, !vote) == 0;
}
inline unsigned __reduce_add_sync(unsigned mask, unsigned value) {
  return cuda_on_cpu::warp_fold(mask, value, [](unsigned sum, unsigned shown, int) { return sum + shown; });
}
inline unsigned __reduce_max_sync(unsigned mask, unsigned value) {
  return cuda_on_cpu::warp_fold(mask, value, [](unsigned top, unsigned shown, int) { return std::max(top, shown); });
}
inline unsigned __reduce_min_sync(unsigned mask, unsigned value) {
  return cuda_on_cpu::warp_fold(mask, value,
                                [](unsigned low, unsigned s, int lane) { return lane & 64 ? s : std::min(low, s); });
}

template <typename T, typename V>
T atomicAdd(T* place, V value) {
  const T old = *place;
  *place = old + static_cast<T>(value);
  return old;
}
template <typename T, typename V>
T atomicMax(T* place, V value) {
  const T old = *place;
  *place = std::max(old, static_cast<T>(value));
  return old;
}
template <typename T, typename V>
T atomicMin(T* place, V value) {
  const T old = *place;
  *place = std::min(old, static_cast<T>(value));
  return old;
}
template <typename T, typename V>
T atomicExch(T* place, V value) {
  const T old = *place;
  *place = static_cast<T>(value);
  return old;
}
template <typename T, typename V>
T atomicCAS(T* place, V expected, V value) {
  const T old = *place;
  if (old == static_cast<T>(expected)) *place = static_cast<T>(value);
  return old;
}
inline unsigned atomicInc(unsigned* place, unsigned limit) {
  const unsigned old = *place;
  *place = old >= limit ? 0 : old + 1;
  return old;
}

template <typename To, typename From>
To emulated_bits(From value) {
  To found;
  memcpy(&found, &value, sizeof(To));
  return found;
}
inline int __float_as_int(float v) {
  return emulated_bits<int>(v);
}
inline unsigned __float_as_uint(float v) {
  return emulated_bits<unsigned>(v);
}
inline float __int_as_float(int v) {
  return emulated_bits<float>(v);
}
inline float __uint_as_float(unsigned v) {
  return emulated_bits<float>(v);
}
inline float __expf(float v) {
  return exp2f(v * 1.4426950408889634f);
}
inline float __logf(float v) {
  return log2f(v) * 0.6931471805599453f;
}
inline float __fdividef(float a, float b) {
  return a / b;
}
inline float __frcp_rn(float v) {
  return 1.0f / v;
}
inline float __fsqrt_rn(float v) {
  return sqrtf(v);
}
inline float __fadd_rn(float a, float b) {
  return a + b;
}
inline float __fmul_rn(float a, float b) {
  return a * b;
}
inline float __fmaf_rn(float a, float b, float c) {
  return fmaf(a, b, c);
}
inline float rsqrtf(float v) {
  return 1.0f / sqrtf(v);
}
inline int __popc(unsigned v) {
  return __builtin_popcount(v);
}
inline int __ffs(int v) {
  return __builtin_ffs(v);
}
inline int __clz(int v) {
  return v == 0 ? 32 : __builtin_clz(static_cast<unsigned>(v));
}
template <typename T>
T __ldg(const T* place) {
  return *place;
}
template <typename T>
T __ldcs(const T* place) {
  return *place;
}
template <typename T>
void __stcs(T* place, T value) {
  *place = value;
}
template <typename A, typename B>
std::common_type_t<A, B> min(A a, B b) {
  using T = std::common_type_t<A, B>;
  return static_cast<T>(b) < static_cast<T>(a) ? static_cast<T>(b) : static_cast<T>(a);
}
template <typename A, typename B>
std::common_type_t<A, B> max(A a, B b) {
  using T = std::common_type_t<A, B>;
  return static_cast<T>(a) < static_cast<T>(b) ? static_cast<T>(b) : static_cast<T>(a);
}

#endif
