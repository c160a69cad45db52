// x / sqrt(mean(x^2) + 1e-6) * weight, one row at a time.
#include <assay/kernel.h>
#include <immintrin.h>

#include <cmath>

namespace {

float mean_square(const float* x, int64_t width) {
  __m512 sum[4];
  for (__m512& v : sum) v = _mm512_setzero_ps();
  int64_t c = 0;
  for (; c + 64 <= width; c += 64) {
    for (int k = 0; k < 4; k++) {
      const __m512 v = _mm512_loadu_ps(x + c + 16 * k);
      sum[k] = _mm512_fmadd_ps(v, v, sum[k]);
    }
  }
  for (; c < width; c += 16) {
    const int64_t left = width - c;
    const __mmask16 mask = left >= 16 ? 0xFFFF : static_cast<__mmask16>((1u << left) - 1);
    const __m512 v = _mm512_maskz_loadu_ps(mask, x + c);
    sum[0] = _mm512_fmadd_ps(v, v, sum[0]);
  }
  const __m512 all = _mm512_add_ps(_mm512_add_ps(sum[0], sum[1]), _mm512_add_ps(sum[2], sum[3]));
  return _mm512_reduce_add_ps(all) / static_cast<float>(width);
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const float* x = assay_in<float>(call, 0);
  const float* weight = assay_weight<float>(call, 0);
  float* y = assay_out<float>(call, 0);
  const int64_t tokens = call->inputs[0].shape[0], width = call->inputs[0].shape[1];
#pragma omp parallel for num_threads(call->n_threads) schedule(static)
  for (int64_t t = 0; t < tokens; t++) {
    const float* in = x + t * width;
    float* out = y + t * width;
    const float scale = 1.0f / std::sqrt(mean_square(in, width) + 1e-6f);
#pragma omp simd
    for (int64_t c = 0; c < width; c++) out[c] = in[c] * scale * weight[c];
  }
  return 0;
}
