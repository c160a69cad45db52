// Weighted sums of table rows: a bag's sum stays in registers, 64 columns at a time.
#include <assay/kernel.h>
#include <immintrin.h>

#include <algorithm>

namespace {

inline __mmask16 first_lanes(int64_t count) {
  if (count <= 0) return 0;
  return count >= 16 ? 0xFFFF : static_cast<__mmask16>((1u << count) - 1);
}

// y[0 .. columns) = sum of weights[i] * table[ids[i]], for at most 64 columns.
void sum_bag(const int64_t* ids, const float* weights, int64_t size, const float* table, int64_t width, float* y,
             int64_t columns) {
  __m512 sum[4];
  __mmask16 mask[4];
  for (int k = 0; k < 4; k++) {
    sum[k] = _mm512_setzero_ps();
    mask[k] = first_lanes(columns - 16 * k);
  }
  for (int64_t i = 0; i < size; i++) {
    const float* row = table + ids[i] * width;
    const __m512 weight = _mm512_set1_ps(weights[i]);
    for (int k = 0; k < 4; k++) sum[k] = _mm512_fmadd_ps(weight, _mm512_maskz_loadu_ps(mask[k], row + 16 * k), sum[k]);
  }
  for (int k = 0; k < 4; k++) _mm512_mask_storeu_ps(y + 16 * k, mask[k], sum[k]);
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const int64_t* ids = assay_in<int64_t>(call, 0);
  const float* weights = assay_in<float>(call, 1);
  const float* table = assay_weight<float>(call, 0);
  float* y = assay_out<float>(call, 0);
  const int64_t bags = call->inputs[0].shape[0], size = call->inputs[0].shape[1];
  const int64_t width = call->weights[0].shape[1];
#pragma omp parallel for num_threads(call->n_threads) schedule(static)
  for (int64_t b = 0; b < bags; b++) {
    for (int64_t c = 0; c < width; c += 64) {
      sum_bag(ids + b * size, weights + b * size, size, table + c, width, y + b * width + c,
              std::min<int64_t>(width - c, 64));
    }
  }
  return 0;
}
