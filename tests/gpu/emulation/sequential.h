// Just enough of CUDA C++ to run kernels whose threads do not wait for each other, one thread after the other.
#pragma once
#include <math.h>
#include <stdint.h>

#include <utility>

struct Uint3 {
  uint32_t x, y, z;
};
static thread_local Uint3 threadIdx, blockIdx, blockDim, gridDim;
#define __global__
#define __device__ static
#define __restrict__

template <class... A, size_t... I>
void one_thread(void (*kernel)(A...), void** parameters, std::index_sequence<I...>) {
  kernel(*static_cast<A*>(parameters[I])...);
}

template <class... A>
void emulate(void (*kernel)(A...), const uint32_t* grid, const uint32_t* block, void** parameters) {
  gridDim = {grid[0], grid[1], grid[2]}, blockDim = {block[0], block[1], block[2]};
  for (blockIdx.z = 0; blockIdx.z < gridDim.z; blockIdx.z++)
    for (blockIdx.y = 0; blockIdx.y < gridDim.y; blockIdx.y++)
      for (blockIdx.x = 0; blockIdx.x < gridDim.x; blockIdx.x++)
        for (threadIdx.z = 0; threadIdx.z < blockDim.z; threadIdx.z++)
          for (threadIdx.y = 0; threadIdx.y < blockDim.y; threadIdx.y++)
            for (threadIdx.x = 0; threadIdx.x < blockDim.x; threadIdx.x++)
              one_thread(kernel, parameters, std::index_sequence_for<A...>{});
}
