// Mean over the middle dimension: 64 columns at a time are summed in registers over blocks of 32 tokens.
#include <assay/kernel.h>
#include <immintrin.h>

#include <algorithm>

namespace {

inline __mmask16 first_lanes(int64_t count) {
  if (count <= 0) return 0;
  return count >= 16 ? 0xFFFF : static_cast<__mmask16>((1u << count) - 1);
}

// Mean of `tokens` rows of up to 64 columns, `width` apart.
void mean_columns(const float* x, float* y, int64_t tokens, int64_t width, int64_t columns) {
  __mmask16 mask[4];
  __m512 total[4];
  for (int k = 0; k < 4; k++) {
    mask[k] = first_lanes(columns - 16 * k);
    total[k] = _mm512_setzero_ps();
  }
  for (int64_t start = 0; start < tokens; start += 32) {
    const int64_t end = std::min<int64_t>(start + 32, tokens);
    __m512 block[4];
    for (__m512& v : block) v = _mm512_setzero_ps();
    for (int64_t t = start; t < end; t++)
      for (int k = 0; k < 4; k++)
        block[k] = _mm512_add_ps(block[k], _mm512_maskz_loadu_ps(mask[k], x + t * width + 16 * k));
    for (int k = 0; k < 4; k++) total[k] = _mm512_add_ps(total[k], block[k]);
  }
  const __m512 count = _mm512_set1_ps(static_cast<float>(tokens));
  for (int k = 0; k < 4; k++) _mm512_mask_storeu_ps(y + 16 * k, mask[k], _mm512_div_ps(total[k], count));
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const float* x = assay_in<float>(call, 0);
  float* y = assay_out<float>(call, 0);
  const int64_t* shape = call->inputs[0].shape;
  const int64_t batch = shape[0], tokens = shape[1], width = shape[2];
#pragma omp parallel for collapse(2) num_threads(call->n_threads) schedule(static)
  for (int64_t b = 0; b < batch; b++) {
    for (int64_t c = 0; c < width; c += 64) {
      mean_columns(x + b * tokens * width + c, y + b * width + c, tokens, width, std::min<int64_t>(width - c, 64));
    }
  }
  return 0;
}
