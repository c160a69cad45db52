// Memory that grows on demand and asks for huge pages; a kernel that refuses them costs nothing but time.
#pragma once

#include <stdint.h>
#include <sys/mman.h>

class Workspace {
 public:
  // Room for `count` floats, aligned to a page, contents undefined; nullptr when the system has none.
  float* floats(int64_t count) {
    const int64_t bytes = (count * sizeof(float) + HUGE - 1) / HUGE * HUGE;
    if (bytes > bytes_) {
      if (data_ != nullptr) munmap(data_, bytes_);
      void* fresh = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      data_ = fresh == MAP_FAILED ? nullptr : fresh;
      bytes_ = data_ == nullptr ? 0 : bytes;
      if (data_ != nullptr) (void)madvise(data_, bytes, MADV_HUGEPAGE);
    }
    return static_cast<float*>(data_);
  }

 private:
  static constexpr int64_t HUGE = 2 << 20;
  void* data_ = nullptr;
  int64_t bytes_ = 0;
};
