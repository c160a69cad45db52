// Asynchronous copies that happen as late as they may: when the thread that asked for them waits for them.
#ifndef CUDA_ON_CPU_PIPELINE_H
#define CUDA_ON_CPU_PIPELINE_H

#include <deque>

#include "cuda_on_cpu.h"

namespace cuda_on_cpu {

struct Copy {
  void* to;
  const void* from;
  size_t bytes;
};

struct Pipeline {
  std::deque<std::vector<Copy>> committed;
  std::vector<Copy> open;
};

inline Pipeline pipelines[kMostThreads];

inline Pipeline& own_pipeline() {
  return pipelines[current - threads];
}

}  // namespace cuda_on_cpu

inline void __pipeline_memcpy_async(void* to, const void* from, size_t bytes) {
  if (bytes != 4 && bytes != 8 && bytes != 16) cuda_on_cpu::fail("an asynchronous copy moves 4, 8 or 16 bytes");
  if (reinterpret_cast<size_t>(to) % bytes != 0 || reinterpret_cast<size_t>(from) % bytes != 0)
    cuda_on_cpu::fail("an asynchronous copy is misaligned");
  cuda_on_cpu::own_pipeline().open.push_back({to, from, bytes});
}

inline void __pipeline_commit() {
  cuda_on_cpu::Pipeline& mine = cuda_on_cpu::own_pipeline();
  mine.committed.push_back(mine.open);
  mine.open.clear();
}

inline void __pipeline_wait_prior(size_t left) {
  cuda_on_cpu::Pipeline& mine = cuda_on_cpu::own_pipeline();
  for (; mine.committed.size() > left; mine.committed.pop_front())
    for (const cuda_on_cpu::Copy& copy : mine.committed.front()) memcpy(copy.to, copy.from, copy.bytes);
}

#endif
