#include <assay/kernel.h>

#include <vector>

extern "C" int assay_kernel(const assay_call* call) {
  const int64_t nodes = call->inputs[0].shape[0], width = call->inputs[0].shape[1], messages = call->inputs[1].shape[0];
  const float *base = assay_in<float>(call, 0), *message = assay_in<float>(call, 2);
  const int64_t* index = assay_in<int64_t>(call, 1);
  float* y = assay_out<float>(call, 0);
  static std::vector<int64_t> start, next, order;
  start.assign(nodes + 1, 0);
  for (int64_t i = 0; i < messages; i++) start[index[i] + 1]++;
  for (int64_t n = 0; n < nodes; n++) start[n + 1] += start[n];
  next.assign(start.begin(), start.end());
  order.resize(messages);
  for (int64_t i = 0; i < messages; i++) order[next[index[i]]++] = i;
#pragma omp parallel for schedule(dynamic, 64) num_threads(call->n_threads)
  for (int64_t n = 0; n < nodes; n++) {
    float* out = y + n * width;
    for (int64_t j = 0; j < width; j++) out[j] = base[n * width + j];
    for (int64_t m = start[n]; m < start[n + 1]; m++)
      for (int64_t j = 0; j < width; j++) out[j] += message[order[m] * width + j];
  }
  return 0;
}
