#include <assay/kernel.h>
#include <immintrin.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>

namespace {

struct Job {
  const float* x = nullptr;
  float* y = nullptr;
  int64_t rows = 0, cols = 0;
};

void rows_of(const Job& job, int64_t part, int64_t parts) {
  for (int64_t i = job.rows * part / parts; i < job.rows * (part + 1) / parts; i++) {
    const float* x = job.x + i * job.cols;
    float* y = job.y + i * job.cols;
    float top[16], sum[16];
    std::fill(top, top + 16, x[0]);
    std::fill(sum, sum + 16, 0.0f);
    for (int64_t j = 0; j < job.cols; j++) top[j % 16] = std::max(top[j % 16], x[j]);
    const float biggest = *std::max_element(top, top + 16);
    for (int64_t j = 0; j < job.cols; j++) {
      y[j] = std::exp(x[j] - biggest);
      sum[j % 16] += y[j];
    }
    float total = 0.0f;
    for (float s : sum) total += s;
    const float scale = 1.0f / total;
    for (int64_t j = 0; j < job.cols; j++) y[j] *= scale;
  }
}

class SpinPool {
 public:
  explicit SpinPool(int64_t parts) : parts_(parts) {
    for (int64_t part = 1; part < parts; part++) std::thread([this, part] { work(part); }).detach();
  }

  void run(const Job& job) {
    job_ = job;
    finished_.store(0, std::memory_order_relaxed);
    generation_.fetch_add(1, std::memory_order_release);
    rows_of(job, 0, parts_);
    while (finished_.load(std::memory_order_acquire) != parts_ - 1) pause_a_little();
  }

 private:
  static void pause_a_little() {
    thread_local unsigned spins = 0;
    _mm_pause();
    if (++spins % 4096 == 0) std::this_thread::yield();  // someone else may need this core
  }

  void work(int64_t part) {
    uint64_t seen = 0;
    for (;;) {
      while (generation_.load(std::memory_order_acquire) == seen) pause_a_little();
      seen++;
      rows_of(job_, part, parts_);
      finished_.fetch_add(1, std::memory_order_release);
    }
  }

  const int64_t parts_;
  Job job_;
  alignas(64) std::atomic<uint64_t> generation_{0};
  alignas(64) std::atomic<int64_t> finished_{0};
};

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  static SpinPool* pool = new SpinPool(std::max(1, call->n_threads));
  pool->run({assay_in<float>(call, 0), assay_out<float>(call, 0), call->inputs[0].shape[0], call->inputs[0].shape[1]});
  return 0;
}
