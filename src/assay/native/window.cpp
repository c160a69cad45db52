// One timed window: let a stopped worker run until it answers, stop it, and read the clock around both.
//
// Native, because what the referee itself does inside the window is timed too: in Python it took 90 us more than here,
// and scattered as widely. Two things keep the scheduler out of the measurement:
//
// * The calling thread is real-time for the window (where that is permitted). A continued worker of two threads would
//   otherwise push the referee off its core before it sleeps, and the referee would come back only at the next tick,
//   up to 4 ms after the reply: a quarter of the calls of a 1 ms kernel showed 2 to 5 ms.
// * Each thread that is being woken gets a core of its own, the main thread that of the referee, which is awake and
//   about to be free. All threads are woken at once, and on two cores often ended on the same one; a null call whose
//   thread woke on an idle core took 125 us instead of 57.
//
// Tried and left out: a spinning process of the lowest priority that keeps idle cores from halting, which brings
// nothing once the rest is done.
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/wait.h>
#include <time.h>

namespace {

constexpr int kMostThreads = 64;

enum Result { kReplied = 0, kSilent = 1, kEnded = 2, kInterrupted = 3, kLogReady = 4, kLost = 5 };

int64_t now_ns() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC_RAW, &time);
  return time.tv_sec * int64_t{1000000000} + time.tv_nsec;
}

// Real-time while it lives, where that is permitted; children of this thread would not inherit it.
class RealTime {
 public:
  RealTime() : policy_(sched_getscheduler(0)) {
    sched_getparam(0, &before_);
    sched_param lowest{};
    lowest.sched_priority = sched_get_priority_min(SCHED_FIFO);
    raised_ = sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &lowest) == 0;
  }
  ~RealTime() {
    if (raised_) sched_setscheduler(0, policy_, &before_);
  }
  RealTime(const RealTime&) = delete;
  RealTime& operator=(const RealTime&) = delete;

 private:
  int policy_;
  sched_param before_{};
  bool raised_ = false;
};

// While it lives, each thread may wake on one core only. Threads that have gone, or that bound themselves elsewhere,
// are left alone.
class Placement {
 public:
  Placement(const int32_t* threads, int count) {
    cpu_set_t usable;
    int here = sched_getcpu();
    if (here < 0 || sched_getaffinity(0, sizeof usable, &usable) != 0) return;
    int core = here;
    for (int i = 0; i < count && i < kMostThreads; i++) {
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(core, &one);
      cpu_set_t& before = before_[moved_];
      if (sched_getaffinity(threads[i], sizeof before, &before) == 0 && CPU_ISSET(core, &before) &&
          CPU_COUNT(&before) > 1 && sched_setaffinity(threads[i], sizeof one, &one) == 0) {
        threads_[moved_++] = threads[i];
      }
      do {
        core = (core + 1) % CPU_SETSIZE;
      } while (!CPU_ISSET(core, &usable) && core != here);
    }
  }
  ~Placement() {
    for (int i = 0; i < moved_; i++) sched_setaffinity(threads_[i], sizeof before_[i], &before_[i]);
  }
  Placement(const Placement&) = delete;
  Placement& operator=(const Placement&) = delete;

 private:
  cpu_set_t before_[kMostThreads];
  int32_t threads_[kMostThreads];
  int moved_ = 0;
};

}  // namespace

extern "C" {

typedef struct {
  int32_t pid, channel, log;  // log is -1 once its far end has closed
  int32_t n_threads;
  int32_t threads[kMostThreads];  // to be placed apart, the main thread first
  int32_t started;                // 0 before the first call for a window
  int32_t status;                 // waitpid's
  int64_t timeout_ns, start_ns, reply_ns, stop_ns;
} assay_native_window_state;

// Returns kReplied or kSilent with the worker stopped, or kEnded; stop_ns is then set. kInterrupted (by a signal) and
// kLogReady leave the worker running: see to it and call again. kLost: no such child.
int assay_native_window(assay_native_window_state* window) {
  RealTime guard;
  if (!window->started) {
    window->started = 1;
    Placement apart(window->threads, window->n_threads);
    window->start_ns = now_ns();
    kill(window->pid, SIGCONT);
  }
  bool replied = false;
  for (;;) {
    pollfd files[2] = {{window->channel, POLLIN, 0}, {window->log, POLLIN, 0}};
    int64_t left_ns = window->timeout_ns - (now_ns() - window->start_ns);
    if (left_ns <= 0) break;
    timespec left{left_ns / 1000000000, left_ns % 1000000000};
    int ready = ppoll(files, 2, &left, nullptr);
    if (ready < 0 && errno == EINTR) return kInterrupted;
    if (files[0].revents != 0) {
      replied = true;
      break;
    }
    if (files[1].revents != 0) return kLogReady;
  }
  window->reply_ns = now_ns();
  kill(window->pid, SIGSTOP);
  pid_t waited;
  do {
    waited = waitpid(window->pid, &window->status, WUNTRACED);
  } while (waited < 0 && errno == EINTR);
  window->stop_ns = now_ns();
  if (waited < 0) return kLost;
  if (!WIFSTOPPED(window->status)) return kEnded;
  return replied ? kReplied : kSilent;
}
}
