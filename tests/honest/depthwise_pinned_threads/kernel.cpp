#include <assay/kernel.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <thread>
#include <vector>

namespace {

inline float relu6(float v) {
  return v < 0.0f ? 0.0f : v > 6.0f ? 6.0f : v;
}

float border_pixel(const float* x, const float* w, float bias, int64_t height, int64_t width, int64_t i, int64_t j) {
  float sum = bias;
  for (int64_t dy = -1; dy <= 1; dy++)
    for (int64_t dx = -1; dx <= 1; dx++)
      if (i + dy >= 0 && i + dy < height && j + dx >= 0 && j + dx < width)
        sum += w[(dy + 1) * 3 + dx + 1] * x[(i + dy) * width + j + dx];
  return relu6(sum);
}

void plane(const float* x, const float* w, float bias, int64_t height, int64_t width, float* y) {
  for (int64_t i = 0; i < height; i++) {
    if (i == 0 || i == height - 1 || width < 3) {
      for (int64_t j = 0; j < width; j++) y[i * width + j] = border_pixel(x, w, bias, height, width, i, j);
      continue;
    }
    const float *above = x + (i - 1) * width, *here = above + width, *below = here + width;
    y[i * width] = border_pixel(x, w, bias, height, width, i, 0);
    for (int64_t j = 1; j < width - 1; j++) {
      const float top = w[0] * above[j - 1] + w[1] * above[j] + w[2] * above[j + 1];
      const float middle = w[3] * here[j - 1] + w[4] * here[j] + w[5] * here[j + 1];
      const float bottom = w[6] * below[j - 1] + w[7] * below[j] + w[8] * below[j + 1];
      y[i * width + j] = relu6(((top + middle) + bottom) + bias);
    }
    y[i * width + width - 1] = border_pixel(x, w, bias, height, width, i, width - 1);
  }
}

void pin_to(std::thread& thread, const cpu_set_t& allowed, int index) {
  int nth = index % std::max(1, CPU_COUNT(&allowed));
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (!CPU_ISSET(cpu, &allowed) || nth-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    (void)pthread_setaffinity_np(thread.native_handle(), sizeof one, &one);  // only a hint
    return;
  }
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const assay_tensor& in = call->inputs[0];
  const int64_t channels = in.shape[1], planes = in.shape[0] * channels, height = in.shape[2], width = in.shape[3];
  const float *x = assay_in<float>(call, 0), *w = assay_weight<float>(call, 0), *bias = assay_weight<float>(call, 1);
  float* y = assay_out<float>(call, 0);
  const auto work = [=](int64_t part, int64_t parts) {
    for (int64_t p = planes * part / parts; p < planes * (part + 1) / parts; p++)
      plane(x + p * height * width, w + p % channels * 9, bias[p % channels], height, width, y + p * height * width);
  };
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  const bool pin = sched_getaffinity(0, sizeof allowed, &allowed) == 0;
  const int parts = std::max(1, call->n_threads);
  std::vector<std::thread> helpers;
  for (int part = 1; part < parts; part++) {
    helpers.emplace_back(work, part, parts);
    if (pin) pin_to(helpers.back(), allowed, part);
  }
  work(0, parts);
  for (std::thread& helper : helpers) helper.join();
  return 0;
}
