// Copies into panels and scratch memory that stays: a page fault costs as much as 60 products of a vector.
#pragma once
#include <cstdlib>

#include "lanes.h"

namespace assay {

/// The smaller of half an L2 cache of this class of machine (1 to 2 MiB) and what one panel needs.
constexpr int64_t kPanelBytes = 512 << 10;

/// Memory of one thread that grows and stays until the thread ends; null where the system has none. No exceptions: one
/// that left a parallel region would end the process.
class Scratch {
 public:
  ~Scratch() { free(memory_); }
  template <typename T>
  T* take(int64_t count) {
    const int64_t bytes = (count * static_cast<int64_t>(sizeof(T)) + 64) / 64 * 64;  // nothing has an address too
    if (bytes > size_) {
      free(memory_);
      size_ = 0;
      memory_ = aligned_alloc(64, bytes);
      if (!memory_) return nullptr;
      size_ = bytes;
    }
    return static_cast<T*>(memory_);
  }

 private:
  void* memory_ = nullptr;
  int64_t size_ = 0;
};

constexpr int64_t blocks_in(int64_t features, int block) {
  return (features + block - 1) / block;
}

/// Rows first .. first + rows of x as panels [block column][height][B]; what is beyond x is zero.
template <typename T, int B>
void pack(const T* x, int64_t stride, const int64_t* index, int64_t first, int64_t rows, int64_t height,
          int64_t features, T* panels) {
  const int64_t whole = features / B, rest = features % B;
  for (int64_t m = 0; m < rows; m++) {
    const T* row = x + (index ? index[first + m] : first + m) * stride;
    for (int64_t b = 0; b < whole; b++) memcpy(panels + (b * height + m) * B, row + b * B, B * sizeof(T));
    if (rest) {
      T* last = panels + (whole * height + m) * B;
      memset(last, 0, B * sizeof(T));
      memcpy(last, row + whole * B, rest * sizeof(T));
    }
  }
  for (int64_t b = 0; b < blocks_in(features, B); b++)
    memset(panels + (b * height + rows) * B, 0, (height - rows) * B * sizeof(T));
}

}  // namespace assay
