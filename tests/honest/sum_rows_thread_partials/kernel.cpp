#include <assay/kernel.h>
#include <omp.h>

#include <cstring>
#include <vector>

extern "C" int assay_kernel(const assay_call* call) {
  const int64_t rows = call->inputs[0].shape[0], cols = call->inputs[0].shape[1];
  const float* x = assay_in<float>(call, 0);
  float* y = assay_out<float>(call, 0);
  static std::vector<float> workspace;  // grows on demand, zeroed by its owners in every call
  const int slices = 8;                 // fixed, so that the result does not depend on the number of threads
  if (static_cast<int64_t>(workspace.size()) < slices * cols) workspace.resize(slices * cols);
  float* partial = workspace.data();
#pragma omp parallel for schedule(static) num_threads(call->n_threads)
  for (int s = 0; s < slices; s++) {
    float* sum = partial + s * cols;
    std::memset(sum, 0, cols * sizeof(float));
    for (int64_t i = rows * s / slices; i < rows * (s + 1) / slices; i++)
      for (int64_t j = 0; j < cols; j++) sum[j] += x[i * cols + j];
  }
  for (int64_t j = 0; j < cols; j++) {
    float sum = partial[j];
    for (int s = 1; s < slices; s++) sum += partial[s * cols + j];
    y[j] = sum;
  }
  return 0;
}
