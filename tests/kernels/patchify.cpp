// 8 x 8 patches, one row per patch, ordered channel, row, column within it: a patch's row of eight floats is one copy.
#include <assay/kernel.h>
#include <immintrin.h>

namespace {

constexpr int64_t kPatch = 8;

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const float* x = assay_in<float>(call, 0);
  float* y = assay_out<float>(call, 0);
  const int64_t* shape = call->inputs[0].shape;
  const int64_t batch = shape[0], channels = shape[1], height = shape[2], width = shape[3];
  const int64_t down = height / kPatch, across = width / kPatch;
  const int64_t patch_size = channels * kPatch * kPatch;
#pragma omp parallel for collapse(2) num_threads(call->n_threads) schedule(static)
  for (int64_t b = 0; b < batch; b++) {
    for (int64_t i = 0; i < down; i++) {
      float* strip = y + (b * down + i) * across * patch_size;
      for (int64_t c = 0; c < channels; c++) {
        for (int64_t p = 0; p < kPatch; p++) {
          const float* row = x + ((b * channels + c) * height + i * kPatch + p) * width;
          float* out = strip + (c * kPatch + p) * kPatch;
          for (int64_t j = 0; j < across; j++)
            _mm256_storeu_ps(out + j * patch_size, _mm256_loadu_ps(row + j * kPatch));
        }
      }
    }
  }
  return 0;
}
