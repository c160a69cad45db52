#include <assay/kernel.h>

#include <algorithm>
#include <cmath>
#include <vector>

extern "C" int assay_kernel(const assay_call* call) {
  const assay_tensor& in = call->inputs[0];
  const int64_t heads = in.shape[0] * in.shape[1], tokens = in.shape[2], head = in.shape[3];
  const float *q = assay_in<float>(call, 0), *k = assay_in<float>(call, 1), *v = assay_in<float>(call, 2);
  float* y = assay_out<float>(call, 0);
  const float scale = 1.0f / std::sqrt(static_cast<float>(head));
#pragma omp parallel num_threads(call->n_threads)
  {
    std::vector<float> score(tokens);
#pragma omp for collapse(2) schedule(dynamic, 16)
    for (int64_t h = 0; h < heads; h++)
      for (int64_t i = 0; i < tokens; i++) {
        const int64_t base = h * tokens * head;
        const float* query = q + base + i * head;
        float* out = y + base + i * head;
        for (int64_t j = 0; j <= i; j++) {
          float s = 0.0f;
#pragma omp simd reduction(+ : s)
          for (int64_t d = 0; d < head; d++) s += query[d] * k[base + j * head + d];
          score[j] = s * scale;
        }
        const float top = *std::max_element(score.begin(), score.begin() + i + 1);
        float sum = 0.0f;
        std::fill(out, out + head, 0.0f);
        for (int64_t j = 0; j <= i; j++) {
          const float p = std::exp(score[j] - top);
          sum += p;
          for (int64_t d = 0; d < head; d++) out[d] += p * v[base + j * head + d];
        }
        for (int64_t d = 0; d < head; d++) out[d] /= sum;
      }
  }
  return 0;
}
