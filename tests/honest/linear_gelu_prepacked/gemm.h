#pragma once

#include <cstdint>
#include <vector>

constexpr int64_t PANEL = 32;      // output columns in one panel
constexpr int64_t BLOCK_ROWS = 8;  // rows of x that share a pass over the weight

// W (out x in) as panels of PANEL columns of W^T, the last one padded with zeros.
class PackedWeight {
 public:
  void pack_once(const float* weight, int64_t out, int64_t in);
  int64_t in() const { return in_; }
  int64_t out() const { return out_; }
  int64_t panels() const { return (out_ + PANEL - 1) / PANEL; }
  const float* panel(int64_t p) const { return data_.data() + p * PANEL * in_; }

 private:
  const float* source_ = nullptr;
  int64_t out_ = 0, in_ = 0;
  std::vector<float> data_;
};

// y (rows x out) = x (rows x in) W^T
void multiply_block(const float* x, const PackedWeight& weight, int64_t rows, float* y);
