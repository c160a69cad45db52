// base plus messages added to the rows that `index` names. A counting sort lists each node's messages in their order,
// so that nodes are independent: no atomics, and the same sum whatever the number of threads.
#include <assay/kernel.h>

#include <cstring>
#include <vector>

namespace {

// first[n] .. first[n + 1] are the places in `order` of the messages for node n.
void sort_by_node(const int64_t* index, int64_t messages, int64_t nodes, std::vector<int64_t>& first,
                  std::vector<int64_t>& order) {
  first.assign(nodes + 1, 0);
  order.resize(messages);
  for (int64_t i = 0; i < messages; i++) first[index[i] + 1]++;
  for (int64_t n = 0; n < nodes; n++) first[n + 1] += first[n];
  std::vector<int64_t> next(first.begin(), first.end() - 1);
  for (int64_t i = 0; i < messages; i++) order[next[index[i]]++] = i;
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const float* base = assay_in<float>(call, 0);
  const int64_t* index = assay_in<int64_t>(call, 1);
  const float* messages = assay_in<float>(call, 2);
  float* y = assay_out<float>(call, 0);
  const int64_t nodes = call->inputs[0].shape[0], width = call->inputs[0].shape[1];
  static std::vector<int64_t> first, order;
  sort_by_node(index, call->inputs[1].shape[0], nodes, first, order);
#pragma omp parallel for num_threads(call->n_threads) schedule(dynamic, 64)
  for (int64_t n = 0; n < nodes; n++) {
    float* out = y + n * width;
    std::memcpy(out, base + n * width, width * sizeof(float));
    for (int64_t k = first[n]; k < first[n + 1]; k++) {
      const float* message = messages + order[k] * width;
#pragma omp simd
      for (int64_t c = 0; c < width; c++) out[c] += message[c];
    }
  }
  return 0;
}
