#include <assay/kernel.h>

#include <vector>

extern "C" int assay_kernel(const assay_call* call) {
  const int64_t batch = call->inputs[0].shape[0], m = call->inputs[0].shape[1], k = call->inputs[0].shape[2];
  const int64_t n = call->inputs[1].shape[2];
  const float *a = assay_in<float>(call, 0), *b = assay_in<float>(call, 1);
  float* c = assay_out<float>(call, 0);
#pragma omp parallel num_threads(call->n_threads)
  {
    std::vector<double> row(n);
#pragma omp for collapse(2)
    for (int64_t s = 0; s < batch; s++)
      for (int64_t i = 0; i < m; i++) {
        row.assign(n, 0.0);
        for (int64_t p = 0; p < k; p++) {
          const double v = a[(s * m + i) * k + p];
          for (int64_t j = 0; j < n; j++) row[j] += v * b[(s * k + p) * n + j];
        }
        for (int64_t j = 0; j < n; j++) c[(s * m + i) * n + j] = static_cast<float>(row[j]);
      }
  }
  return 0;
}
