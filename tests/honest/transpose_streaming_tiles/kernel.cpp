#include <assay/kernel.h>
#include <immintrin.h>

#include <algorithm>

namespace {

constexpr int64_t T = 16;

void tile(const float* x, int64_t rows, int64_t cols, int64_t i, int64_t j, float* y, bool stream) {
  const int64_t height = std::min(T, rows - i), width = std::min(T, cols - j);
  if (height < T) {
    for (int64_t b = 0; b < width; b++)
      for (int64_t a = 0; a < height; a++) y[(j + b) * rows + i + a] = x[(i + a) * cols + j + b];
    return;
  }
  alignas(64) int32_t offsets[T];
  for (int64_t a = 0; a < T; a++) offsets[a] = static_cast<int32_t>(a * cols);
  const __m512i index = _mm512_load_si512(offsets);
  for (int64_t b = 0; b < width; b++) {
    const __m512 column = _mm512_i32gather_ps(index, x + i * cols + j + b, 4);
    float* to = y + (j + b) * rows + i;
    if (stream)
      _mm512_stream_ps(to, column);
    else
      _mm512_storeu_ps(to, column);
  }
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const int64_t rows = call->inputs[0].shape[0], cols = call->inputs[0].shape[1];
  const float* x = assay_in<float>(call, 0);
  float* y = assay_out<float>(call, 0);
  const bool stream = rows % T == 0 && reinterpret_cast<uintptr_t>(y) % 64 == 0;
#pragma omp parallel num_threads(call->n_threads)
  {
#pragma omp for schedule(static)
    for (int64_t i = 0; i < rows; i += T)
      for (int64_t j = 0; j < cols; j += T) tile(x, rows, cols, i, j, y, stream);
    _mm_sfence();  // every thread orders its own streamed stores
  }
  return 0;
}
