// relu(a @ b + bias): a panel of 48 columns of b is packed once, then meets eight rows of a at a time in 24 registers.
#include <assay/kernel.h>
#include <immintrin.h>

#include <algorithm>
#include <vector>

namespace {

constexpr int kRows = 8, kVectors = 3, kPanel = 16 * kVectors;

inline __mmask16 first_lanes(int64_t count) {
  if (count <= 0) return 0;
  return count >= 16 ? 0xFFFF : static_cast<__mmask16>((1u << count) - 1);
}

// Columns [first, first + 48) of b as k rows of 48, zeros past the last column.
void pack(const float* b, int64_t k, int64_t n, int64_t first, float* panel) {
  for (int64_t i = 0; i < k; i++) {
    for (int v = 0; v < kVectors; v++) {
      const __mmask16 mask = first_lanes(n - first - 16 * v);
      _mm512_store_ps(panel + i * kPanel + 16 * v, _mm512_maskz_loadu_ps(mask, b + i * n + first + 16 * v));
    }
  }
}

// `rows` (at most 8) rows of a times the panel; rows past the last are computed from the last and thrown away.
void tile(const float* a, int64_t k, int64_t rows, const float* panel, __m512 (&sum)[kRows][kVectors]) {
  const float* row[kRows];
  for (int r = 0; r < kRows; r++) {
    row[r] = a + std::min<int64_t>(r, rows - 1) * k;
    for (int v = 0; v < kVectors; v++) sum[r][v] = _mm512_setzero_ps();
  }
  for (int64_t i = 0; i < k; i++) {
    __m512 b[kVectors];
    for (int v = 0; v < kVectors; v++) b[v] = _mm512_load_ps(panel + i * kPanel + 16 * v);
    for (int r = 0; r < kRows; r++) {
      const __m512 x = _mm512_set1_ps(row[r][i]);
      for (int v = 0; v < kVectors; v++) sum[r][v] = _mm512_fmadd_ps(x, b[v], sum[r][v]);
    }
  }
}

void store(__m512 (&sum)[kRows][kVectors], const float* bias, float* y, int64_t rows, int64_t n, int64_t columns) {
  for (int r = 0; r < rows; r++) {
    for (int v = 0; v < kVectors; v++) {
      const __mmask16 mask = first_lanes(columns - 16 * v);
      const __m512 z = _mm512_add_ps(sum[r][v], _mm512_maskz_loadu_ps(mask, bias + 16 * v));
      _mm512_mask_storeu_ps(y + r * n + 16 * v, mask, _mm512_max_ps(z, _mm512_setzero_ps()));
    }
  }
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const float* a = assay_in<float>(call, 0);
  const float* b = assay_in<float>(call, 1);
  const float* bias = assay_in<float>(call, 2);
  float* y = assay_out<float>(call, 0);
  const int64_t m = call->inputs[0].shape[0], k = call->inputs[0].shape[1], n = call->inputs[1].shape[1];
#pragma omp parallel num_threads(call->n_threads)
  {
    std::vector<__m512> storage(k * kVectors);
    float* panel = reinterpret_cast<float*>(storage.data());
#pragma omp for schedule(dynamic)
    for (int64_t first = 0; first < n; first += kPanel) {
      pack(b, k, n, first, panel);
      for (int64_t r = 0; r < m; r += kRows) {
        const int64_t rows = std::min<int64_t>(m - r, kRows);
        __m512 sum[kRows][kVectors];
        tile(a + r * k, k, rows, panel, sum);
        store(sum, bias + first, y + r * n + first, rows, n, n - first);
      }
    }
  }
  return 0;
}
