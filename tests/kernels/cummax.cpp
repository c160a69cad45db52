// Running maximum down the columns: up to 64 columns stay in four registers on the way down.
#include <assay/kernel.h>
#include <immintrin.h>

#include <algorithm>
#include <cmath>

namespace {

inline __mmask16 first_lanes(int64_t count) {
  if (count <= 0) return 0;
  return count >= 16 ? 0xFFFF : static_cast<__mmask16>((1u << count) - 1);
}

void running_max(const float* x, float* y, int64_t rows, int64_t cols, int64_t columns) {
  __mmask16 mask[4];
  __m512 top[4];
  for (int k = 0; k < 4; k++) {
    mask[k] = first_lanes(columns - 16 * k);
    top[k] = _mm512_set1_ps(-INFINITY);
  }
  for (int64_t r = 0; r < rows; r++) {
    for (int k = 0; k < 4; k++) {
      top[k] = _mm512_max_ps(top[k], _mm512_maskz_loadu_ps(mask[k], x + r * cols + 16 * k));
      _mm512_mask_storeu_ps(y + r * cols + 16 * k, mask[k], top[k]);
    }
  }
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const float* x = assay_in<float>(call, 0);
  float* y = assay_out<float>(call, 0);
  const int64_t rows = call->inputs[0].shape[0], cols = call->inputs[0].shape[1];
#pragma omp parallel for num_threads(call->n_threads) schedule(static)
  for (int64_t c = 0; c < cols; c += 64) running_max(x + c, y + c, rows, cols, std::min<int64_t>(cols - c, 64));
  return 0;
}
