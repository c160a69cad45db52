// A pool of sleeping threads. The caller's thread does part 0 itself.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>

class Pool {
 public:
  static Pool& get(int threads) {
    static Pool* pool = new Pool(threads);  // leaked on purpose: no join while the process exits
    return *pool;
  }

  int64_t size() const { return size_; }

  void run(const std::function<void(int64_t)>& job) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      job_ = &job;
      pending_ = size_ - 1;
      round_++;
    }
    wake_.notify_all();
    job(0);
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return pending_ == 0; });
    job_ = nullptr;
  }

 private:
  explicit Pool(int threads) : size_(threads < 1 ? 1 : threads) {
    for (int64_t part = 1; part < size_; part++) std::thread([this, part] { work(part); }).detach();
  }

  void work(int64_t part) {
    uint64_t seen = 0;
    for (;;) {
      const std::function<void(int64_t)>* job;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return round_ != seen; });
        seen = round_;
        job = job_;
      }
      (*job)(part);
      std::lock_guard<std::mutex> lock(mutex_);
      if (--pending_ == 0) done_.notify_one();
    }
  }

  const int64_t size_;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  const std::function<void(int64_t)>* job_ = nullptr;
  uint64_t round_ = 0;
  int64_t pending_ = 0;
};
