#include <assay/kernel.h>

namespace {

struct Product {
  const float *a, *b;  // k x m, k x n
  float* c;            // m x n
  int64_t m, n, k;
  int threads;
};

template <int ROWS, int COLS>
void tile(const Product& p, int64_t i, int64_t j) {
  float sum[ROWS][COLS] = {};
  for (int64_t q = 0; q < p.k; q++) {
    const float *a = p.a + q * p.m + i, *b = p.b + q * p.n + j;
    for (int r = 0; r < ROWS; r++)
      for (int s = 0; s < COLS; s++) sum[r][s] += a[r] * b[s];
  }
  for (int r = 0; r < ROWS; r++)
    for (int s = 0; s < COLS; s++) p.c[(i + r) * p.n + j + s] = sum[r][s];
}

template <int ROWS, int COLS>
void tiled(const Product& p) {
#pragma omp parallel for collapse(2) num_threads(p.threads)
  for (int64_t i = 0; i < p.m; i += ROWS)
    for (int64_t j = 0; j < p.n; j += COLS) tile<ROWS, COLS>(p, i, j);
}

void generic(const Product& p) {
#pragma omp parallel for num_threads(p.threads)
  for (int64_t i = 0; i < p.m; i++) {
    float* c = p.c + i * p.n;
    for (int64_t j = 0; j < p.n; j++) c[j] = 0.0f;
    for (int64_t q = 0; q < p.k; q++) {
      const float v = p.a[q * p.m + i];
      for (int64_t j = 0; j < p.n; j++) c[j] += v * p.b[q * p.n + j];
    }
  }
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const assay_tensor &a = call->inputs[0], &b = call->inputs[1];
  const Product p{
      assay_in<float>(call, 0), assay_in<float>(call, 1), assay_out<float>(call, 0), a.shape[1], b.shape[1], a.shape[0],
      call->n_threads};
  if (p.m % 4 == 0 && p.n % 64 == 0)
    tiled<4, 64>(p);
  else if (p.m % 4 == 0 && p.n % 32 == 0)
    tiled<4, 32>(p);
  else if (p.m % 4 == 0 && p.n % 16 == 0)
    tiled<4, 16>(p);
  else
    generic(p);
  return 0;
}
