#include <assay/kernel.h>

extern "C" {
void sgemm_(const char* transa, const char* transb, const int* m, const int* n, const int* k, const float* alpha,
            const float* a, const int* lda, const float* b, const int* ldb, const float* beta, float* c,
            const int* ldc);
int MKL_Set_Num_Threads_Local(int threads);
}

extern "C" int assay_kernel(const assay_call* call) {
  const int m = static_cast<int>(call->inputs[0].shape[0]);
  const int k = static_cast<int>(call->inputs[0].shape[1]);
  const int n = static_cast<int>(call->inputs[1].shape[1]);
  MKL_Set_Num_Threads_Local(call->n_threads);
  const float one = 1.0f, zero = 0.0f;
  // c (m x n, rows) is c^T (n x m, columns) = b^T a^T
  sgemm_("N", "N", &n, &m, &k, &one, assay_in<float>(call, 1), &n, assay_in<float>(call, 0), &k, &zero,
         assay_out<float>(call, 0), &n);
  return 0;
}
