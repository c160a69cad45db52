// Column sums: chunks of 64 rows are summed apart, in memory order, then added up; the order of the additions does not
// depend on the number of threads, and no sum runs over more than 64 + rows / 64 terms.
#include <assay/kernel.h>

#include <algorithm>
#include <vector>

extern "C" int assay_kernel(const assay_call* call) {
  const float* x = assay_in<float>(call, 0);
  float* y = assay_out<float>(call, 0);
  const int64_t rows = call->inputs[0].shape[0], cols = call->inputs[0].shape[1];
  constexpr int64_t kChunk = 64;
  const int64_t chunks = (rows + kChunk - 1) / kChunk;
  static std::vector<float> partial;
  partial.assign(chunks * cols, 0.0f);
#pragma omp parallel for num_threads(call->n_threads) schedule(static)
  for (int64_t chunk = 0; chunk < chunks; chunk++) {
    float* sum = partial.data() + chunk * cols;
    const int64_t end = std::min((chunk + 1) * kChunk, rows);
    int64_t r = chunk * kChunk;
    for (; r + 4 <= end; r += 4) {
      const float* a = x + r * cols;
#pragma omp simd
      for (int64_t c = 0; c < cols; c++) sum[c] += (a[c] + a[c + cols]) + (a[c + 2 * cols] + a[c + 3 * cols]);
    }
    for (; r < end; r++) {
#pragma omp simd
      for (int64_t c = 0; c < cols; c++) sum[c] += x[r * cols + c];
    }
  }
  constexpr int64_t kBlock = 256;
#pragma omp parallel for num_threads(call->n_threads) schedule(static)
  for (int64_t start = 0; start < cols; start += kBlock) {
    const int64_t end = std::min(start + kBlock, cols);
    for (int64_t c = start; c < end; c++) y[c] = 0.0f;
    for (int64_t chunk = 0; chunk < chunks; chunk++) {
#pragma omp simd
      for (int64_t c = start; c < end; c++) y[c] += partial[chunk * cols + c];
    }
  }
  return 0;
}
