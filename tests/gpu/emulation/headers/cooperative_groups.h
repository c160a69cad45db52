// Thread block clusters as far as emulated kernels use them.
#ifndef CUDA_ON_CPU_COOPERATIVE_GROUPS_H
#define CUDA_ON_CPU_COOPERATIVE_GROUPS_H

#include "cuda_on_cpu.h"

namespace cooperative_groups {

struct cluster_group {
  void sync() const { cuda_on_cpu::cluster_barrier(); }
  unsigned block_rank() const { return cuda_on_cpu::current->block; }
  unsigned num_blocks() const { return cuda_on_cpu::cluster_blocks; }

  // Another block's shared memory may change its place whenever threads change: use what this returns at once.
  template <typename T>
  T* map_shared_rank(T* mine, int rank) const {
    return reinterpret_cast<T*>(cuda_on_cpu::shared_place(reinterpret_cast<char*>(mine), rank));
  }
};

inline cluster_group this_cluster() {
  return {};
}

}  // namespace cooperative_groups

#endif
