// Causal depthwise convolution over four steps, bias and SiLU. A line holds the three steps before the sequence (zeros)
// and the sequence itself.
#include <assay/kernel.h>
#include <immintrin.h>

#include <cstring>
#include <vector>

namespace {

constexpr int64_t kTaps = 4;

inline __m512 set(float v) {
  return _mm512_set1_ps(v);
}

// exp(v) (Cephes expf); infinity above 89, and 0 below -87, where a subnormal would cost a microcode assist.
inline __m512 exp_any(__m512 v) {
  const __mmask16 normal = _mm512_cmp_ps_mask(v, set(-87.0f), _CMP_NLT_UQ);
  v = _mm512_min_ps(set(126.0f), _mm512_max_ps(set(-87.0f), v));
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(v, set(1.44269504f)), 8);
  __m512 r = _mm512_fnmadd_ps(n, set(0.693359375f), v);
  r = _mm512_fnmadd_ps(n, set(-2.12194440e-4f), r);
  __m512 p = set(1.9875691500e-4f);
  p = _mm512_fmadd_ps(p, r, set(1.3981999507e-3f));
  p = _mm512_fmadd_ps(p, r, set(8.3334519073e-3f));
  p = _mm512_fmadd_ps(p, r, set(4.1665795894e-2f));
  p = _mm512_fmadd_ps(p, r, set(1.6666665459e-1f));
  p = _mm512_fmadd_ps(p, r, set(0.5f));
  p = _mm512_fmadd_ps(p, _mm512_mul_ps(r, r), _mm512_add_ps(r, set(1.0f)));
  return _mm512_maskz_scalef_ps(normal, p, n);
}

inline __m512 silu(__m512 v) {
  return _mm512_div_ps(v, _mm512_add_ps(set(1.0f), exp_any(_mm512_sub_ps(_mm512_setzero_ps(), v))));
}

void convolve(const float* line, const float* w, float bias, float* y, int64_t length) {
  for (int64_t t = 0; t < length; t += 16) {
    const int64_t left = length - t;
    const __mmask16 mask = left >= 16 ? 0xFFFF : static_cast<__mmask16>((1u << left) - 1);
    __m512 sum = set(bias);
    for (int tap = 0; tap < kTaps; tap++)
      sum = _mm512_fmadd_ps(set(w[tap]), _mm512_maskz_loadu_ps(mask, line + t + tap), sum);
    _mm512_mask_storeu_ps(y + t, mask, silu(sum));
  }
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const float* x = assay_in<float>(call, 0);
  const float* weight = assay_weight<float>(call, 0);
  const float* bias = assay_weight<float>(call, 1);
  float* y = assay_out<float>(call, 0);
  const int64_t* shape = call->inputs[0].shape;
  const int64_t channels = shape[1], length = shape[2];
#pragma omp parallel num_threads(call->n_threads)
  {
    std::vector<float> line(kTaps - 1 + length, 0.0f);
#pragma omp for schedule(static)
    for (int64_t row = 0; row < shape[0] * channels; row++) {
      std::memcpy(line.data() + kTaps - 1, x + row * length, length * sizeof(float));
      const int64_t c = row % channels;
      convolve(line.data(), weight + c * kTaps, bias[c], y + row * length, length);
    }
  }
  return 0;
}
