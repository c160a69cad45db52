// Sparse (compressed rows) times dense: a row's sum stays in registers, 64 columns at a time.
#include <assay/kernel.h>
#include <immintrin.h>

#include <algorithm>

namespace {

inline __mmask16 first_lanes(int64_t count) {
  if (count <= 0) return 0;
  return count >= 16 ? 0xFFFF : static_cast<__mmask16>((1u << count) - 1);
}

struct Sparse {
  const int64_t* starts;
  const int64_t* columns;
  const float* values;
};

void multiply_row(const Sparse& a, int64_t row, const float* x, int64_t width, float* y, int64_t columns) {
  __m512 sum[4];
  __mmask16 mask[4];
  for (int k = 0; k < 4; k++) {
    sum[k] = _mm512_setzero_ps();
    mask[k] = first_lanes(columns - 16 * k);
  }
  for (int64_t i = a.starts[row]; i < a.starts[row + 1]; i++) {
    const float* dense = x + a.columns[i] * width;
    const __m512 value = _mm512_set1_ps(a.values[i]);
    for (int k = 0; k < 4; k++) sum[k] = _mm512_fmadd_ps(value, _mm512_maskz_loadu_ps(mask[k], dense + 16 * k), sum[k]);
  }
  for (int k = 0; k < 4; k++) _mm512_mask_storeu_ps(y + 16 * k, mask[k], sum[k]);
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const Sparse a = {assay_in<int64_t>(call, 0), assay_in<int64_t>(call, 1), assay_in<float>(call, 2)};
  const float* x = assay_in<float>(call, 3);
  float* y = assay_out<float>(call, 0);
  const int64_t rows = call->inputs[0].shape[0] - 1, width = call->inputs[3].shape[1];
#pragma omp parallel for num_threads(call->n_threads) schedule(dynamic, 64)
  for (int64_t r = 0; r < rows; r++) {
    for (int64_t c = 0; c < width; c += 64)
      multiply_row(a, r, x + c, width, y + r * width + c, std::min<int64_t>(width - c, 64));
  }
  return 0;
}
