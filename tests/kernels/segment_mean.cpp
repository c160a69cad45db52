// Mean of the rows of each segment (rows starts[s] up to starts[s + 1]); an empty segment gives zeros. Long segments
// are summed in blocks of 64 rows.
#include <assay/kernel.h>

#include <algorithm>
#include <vector>

namespace {

void segment_mean(const float* x, int64_t begin, int64_t end, int64_t width, float* block, float* y) {
  for (int64_t c = 0; c < width; c++) y[c] = 0.0f;
  for (int64_t start = begin; start < end; start += 64) {
    const int64_t stop = std::min<int64_t>(start + 64, end);
    for (int64_t c = 0; c < width; c++) block[c] = 0.0f;
    for (int64_t r = start; r < stop; r++) {
#pragma omp simd
      for (int64_t c = 0; c < width; c++) block[c] += x[r * width + c];
    }
#pragma omp simd
    for (int64_t c = 0; c < width; c++) y[c] += block[c];
  }
  const float count = static_cast<float>(std::max<int64_t>(end - begin, 1));
#pragma omp simd
  for (int64_t c = 0; c < width; c++) y[c] /= count;
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const float* x = assay_in<float>(call, 0);
  const int64_t* starts = assay_in<int64_t>(call, 1);
  float* y = assay_out<float>(call, 0);
  const int64_t width = call->inputs[0].shape[1], segments = call->inputs[1].shape[0] - 1;
#pragma omp parallel num_threads(call->n_threads)
  {
    std::vector<float> block(width);
#pragma omp for schedule(dynamic, 16)
    for (int64_t s = 0; s < segments; s++) {
      segment_mean(x, starts[s], starts[s + 1], width, block.data(), y + s * width);
    }
  }
  return 0;
}
