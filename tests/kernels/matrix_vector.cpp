// Matrix times vector: four rows at a time share each load of the vector.
#include <assay/kernel.h>
#include <immintrin.h>

#include <algorithm>

namespace {

constexpr int kRows = 4;

// Dot products of up to four rows, `cols` apart, with x; missing rows repeat the last one.
void dot_rows(const float* a, const float* x, float* y, int64_t rows, int64_t cols) {
  const float* row[kRows];
  __m512 even[kRows], odd[kRows];
  for (int r = 0; r < kRows; r++) {
    row[r] = a + std::min<int64_t>(r, rows - 1) * cols;
    even[r] = odd[r] = _mm512_setzero_ps();
  }
  int64_t c = 0;
  for (; c + 32 <= cols; c += 32) {
    const __m512 x0 = _mm512_loadu_ps(x + c), x1 = _mm512_loadu_ps(x + c + 16);
    for (int r = 0; r < kRows; r++) {
      even[r] = _mm512_fmadd_ps(_mm512_loadu_ps(row[r] + c), x0, even[r]);
      odd[r] = _mm512_fmadd_ps(_mm512_loadu_ps(row[r] + c + 16), x1, odd[r]);
    }
  }
  for (; c < cols; c += 16) {
    const int64_t left = cols - c;
    const __mmask16 mask = left >= 16 ? 0xFFFF : static_cast<__mmask16>((1u << left) - 1);
    const __m512 x0 = _mm512_maskz_loadu_ps(mask, x + c);
    for (int r = 0; r < kRows; r++) even[r] = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, row[r] + c), x0, even[r]);
  }
  for (int r = 0; r < rows; r++) y[r] = _mm512_reduce_add_ps(_mm512_add_ps(even[r], odd[r]));
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const float* a = assay_in<float>(call, 0);
  const float* x = assay_in<float>(call, 1);
  float* y = assay_out<float>(call, 0);
  const int64_t rows = call->inputs[0].shape[0], cols = call->inputs[0].shape[1];
#pragma omp parallel for num_threads(call->n_threads) schedule(static)
  for (int64_t r = 0; r < rows; r += kRows) {
    dot_rows(a + r * cols, x, y + r, std::min<int64_t>(rows - r, kRows), cols);
  }
  return 0;
}
