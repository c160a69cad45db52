// Measures what this machine can do at most: bytes moved and operations done per second.
//
// usage: peaks THREADS LEVEL:BYTES_PER_THREAD...
// Each line of output is one result, flushed when known:
//   bandwidth LEVEL THREADS ACCESS WORKING_SET_BYTES BYTES_PER_S CLEAN_WINDOWS
//   compute DTYPE THREADS OPERATIONS_PER_S CLEAN_WINDOWS
//   unbounded DTYPE REASON     (the type's true peak may be above what was measured, if anything was)
//
// Every result is the best of many short windows. A peak is a maximum: steal and a clock that has not yet risen only
// lower a window, never raise it. A window's rate is the sum of its threads' own rates. Only clean windows count: all
// threads began together and none was preempted. A result without any has the rate 0 and is no peak.
// Built by peaks.py with -O3 -march=native -fopenmp, for GCC 10 and later or clang.

#include <omp.h>
#include <sys/mman.h>
#include <time.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

typedef int64_t Block __attribute__((vector_size(kVectorBytes)));
typedef float Floats __attribute__((vector_size(kVectorBytes)));
typedef double Doubles __attribute__((vector_size(kVectorBytes)));

// Forces a value into a vector register, so that the compiler must load it and cannot know it.
#if defined(__x86_64__)
#define IN_REGISTER(value) asm volatile("" : "+v"(value))
#else
#define IN_REGISTER(value) asm volatile("" : "+w"(value))
#endif

constexpr int kUnroll = 8;   // 8 x 64 bytes hide the loop's own instructions.
constexpr int kChains = 12;  // Latency 4-5 cycles on 2 ports needs 10 independent sums; AVX2 has 16 registers.
constexpr size_t kWindowBytes = 8u << 20;  // 40 us in L1, 1 ms in memory: shorter than a scheduler's turn.
constexpr long kComputeSteps = 20000;      // About 50 us.
constexpr double kBudgetSeconds = 0.015;   // Of one result; some 70 results.
constexpr double kLongestSeconds = 0.15;   // Of one result on a machine too busy for clean windows.
constexpr int kLeastClean = 5;
constexpr double kLeastOnCore = 0.97;  // Share of a window that each thread must run: above it no turn was lost.
constexpr double kMostSkew = 0.1;      // Share of a window by which threads may begin apart.
constexpr size_t kPageBytes = 4096;
constexpr size_t kHugePageBytes = 2u << 20;
[[maybe_unused]] const char* const kComputeTypes[] = {"float64", "float32", "float16", "bfloat16", "int8"};
constexpr int kMostThreads = 1024;
constexpr int kMostLevels = 8;

struct alignas(128) Stamp {  // a cache line and the neighbour that is fetched with it
  double start, end, on_core;
};

struct Rate {
  double best;
  int clean;
};

Stamp stamps[kMostThreads];

double now(clockid_t clock = CLOCK_MONOTONIC_RAW) {
  timespec t;
  clock_gettime(clock, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

// Adds one window, whose stamps are complete, to a result.
void judge_window(int threads, double amount_per_thread, Rate* result) {
  double first = stamps[0].start, last_start = stamps[0].start, sum = 0, shortest = stamps[0].end - stamps[0].start;
  for (int t = 0; t < threads; ++t) {
    const double duration = stamps[t].end - stamps[t].start;
    if (stamps[t].on_core < kLeastOnCore * duration) return;
    first = stamps[t].start < first ? stamps[t].start : first;
    last_start = stamps[t].start > last_start ? stamps[t].start : last_start;
    shortest = duration < shortest ? duration : shortest;
    sum += amount_per_thread / duration;
  }
  if (last_start - first > kMostSkew * shortest) return;
  ++result->clean;
  result->best = sum > result->best ? sum : result->best;
}

// Runs body(thread, window) on all threads in step and returns the best sum of amount / duration.
template <class Body>
Rate best_rate(int threads, double amount_per_thread, Body body) {
  Rate result = {};
  bool go_on = true;
  const double begin = now();
#pragma omp parallel num_threads(threads)
  {
    const int me = omp_get_thread_num();
    for (int window = 0; go_on; ++window) {
#pragma omp barrier
      stamps[me].start = now();
      const double before = now(CLOCK_THREAD_CPUTIME_ID);
      body(me, window);
      const double after = now(CLOCK_THREAD_CPUTIME_ID);
      stamps[me].end = now();
      stamps[me].on_core = after - before;
#pragma omp barrier
#pragma omp single
      {
        judge_window(threads, amount_per_thread, &result);
        const double passed = now() - begin;
        go_on = passed < kBudgetSeconds || (result.clean < kLeastClean && passed < kLongestSeconds);
      }
    }
  }
  return result;
}

void read_blocks(const Block* from, size_t count) {
  for (size_t i = 0; i + kUnroll <= count; i += kUnroll) {
#pragma GCC unroll 8
    for (int j = 0; j < kUnroll; ++j) {
      Block value = from[i + j];
      IN_REGISTER(value);
    }
  }
}

#if defined(__AVX512F__)
constexpr bool kHasStream = true;
void stream(Block* to, Block value) {
  _mm512_stream_si512(reinterpret_cast<__m512i*>(to), __m512i(value));
}
#elif defined(__AVX__)
constexpr bool kHasStream = true;
void stream(Block* to, Block value) {
  _mm256_stream_si256(reinterpret_cast<__m256i*>(to), __m256i(value));
}
#elif defined(__SSE2__)
constexpr bool kHasStream = true;
void stream(Block* to, Block value) {
  _mm_stream_si128(reinterpret_cast<__m128i*>(to), __m128i(value));
}
#else
constexpr bool kHasStream = false;
void stream(Block* to, Block value) {
  *to = value;
}
#endif

void fence() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

// Writes `to` from 0, 1 or 2 sources. The memory clobber keeps the compiler from merging passes or calling memset.
template <int kSources, bool kStream>
void write_blocks(Block* to, const Block* a, const Block* b, size_t count) {
  Block value = {};
  IN_REGISTER(value);
  for (size_t i = 0; i + kUnroll <= count; i += kUnroll) {
#pragma GCC unroll 8
    for (int j = 0; j < kUnroll; ++j) {
      if (kSources >= 1) value = a[i + j];
      if (kSources == 2) value += b[i + j];
      if (kStream) {
        stream(to + i + j, value);
      } else {
        to[i + j] = value;
      }
    }
    asm volatile("" ::: "memory");
  }
  if (kStream) fence();
}

// One pass over `count` blocks. A read walks `to`, so that every access's last region is the one it must have.
using Pass = void (*)(Block* to, const Block* a, const Block* b, size_t count);

struct Access {
  const char* name;
  int parts;  // regions that one pass walks at once: sources and destination
  bool streams;
  Pass pass;
};

const Access kAccesses[] = {
    {"read", 1, false, [](Block* to, const Block*, const Block*, size_t count) { read_blocks(to, count); }},
    {"write", 1, false, write_blocks<0, false>},
    {"write-stream", 1, true, write_blocks<0, true>},
    {"copy", 2, false, write_blocks<1, false>},
    {"copy-stream", 2, true, write_blocks<1, true>},
    {"add", 3, false, write_blocks<2, false>},
    {"add-stream", 3, true, write_blocks<2, true>},
};

struct Level {
  char name[16];
  size_t bytes;
};

void measure_bandwidth(const Level& level, char* memory, size_t stride, int threads, const Access& access) {
  const size_t bytes = level.bytes;
  const size_t unit = size_t(kUnroll) * kVectorBytes;
  const size_t part = bytes / access.parts / unit * kUnroll;  // blocks of one part
  const size_t wanted = kWindowBytes / access.parts / unit * kUnroll;
  const size_t slice = part < wanted ? part : wanted;
  const long passes = long(wanted / slice);
  const size_t slices = part / slice;
  const double amount = double(slice) * kVectorBytes * access.parts * double(passes);
  const Rate rate = best_rate(threads, amount, [&](int thread, int window) {
    Block* base = reinterpret_cast<Block*>(memory + thread * stride);
    base += size_t(window) % slices * slice;
    Block* to = base + (access.parts - 1) * part;
    for (long pass = 0; pass < passes; ++pass) access.pass(to, base, base + part, slice);
  });
  std::printf("bandwidth %s %d %s %zu", level.name, threads, access.name, bytes * threads);
  std::printf(" %.6e %d\n", rate.best, rate.clean);
  std::fflush(stdout);
}

// kChains independent sums, each step one operation of `step` on each.
template <class Vector, class Step>
Rate compute_rate(int threads, double operations_per_vector, Vector a, Vector b, Step step) {
  return best_rate(threads, operations_per_vector * kChains * double(kComputeSteps), [&](int, int) {
    Vector sums[kChains];
    for (auto& sum : sums) {
      sum = a;
      IN_REGISTER(sum);  // Else the compiler sees 12 equal sums and computes one.
    }
    Vector x = a, y = b;
    IN_REGISTER(x);
    IN_REGISTER(y);
    for (long i = 0; i < kComputeSteps; ++i) {
#pragma GCC unroll 12
      for (int j = 0; j < kChains; ++j) sums[j] = step(sums[j], x, y);
    }
    for (auto& sum : sums) IN_REGISTER(sum);
  });
}

void report_compute(const char* dtype, int threads, Rate rate) {
  std::printf("compute %s %d %.6e %d\n", dtype, threads, rate.best, rate.clean);
  std::fflush(stdout);
}

[[maybe_unused]] void unbounded(const char* dtype, const char* reason) {
  std::printf("unbounded %s %s\n", dtype, reason);
}

// A fused multiply-add counts as two operations; -ffp-contract=fast makes one instruction of it where there is one.
void measure_float(int threads) {
  const auto fused = [](auto sum, auto x, auto y) { return sum * x + y; };
  const Floats f = Floats{} + 0.5f;
  const Doubles d = Doubles{} + 0.5;
  report_compute("float32", threads, compute_rate(threads, 2.0 * kVectorBytes / sizeof(float), f, f, fused));
  report_compute("float64", threads, compute_rate(threads, 2.0 * kVectorBytes / sizeof(double), d, d, fused));
}

void measure_narrow([[maybe_unused]] int threads) {
#if defined(__AVX512VNNI__)
  const __m512i bytes = _mm512_set1_epi8(3);
  const auto dot = [](__m512i sum, __m512i x, __m512i y) { return _mm512_dpbusd_epi32(sum, x, y); };
  report_compute("int8", threads, compute_rate(threads, 2.0 * 64, bytes, bytes, dot));
#endif
#if defined(__AVX512BF16__)
  const __m512 ones = _mm512_set1_ps(0.5f);
  const auto dot2 = [](__m512 sum, __m512 x, __m512 y) {
    return _mm512_dpbf16_ps(sum, (__m512bh)_mm512_castps_si512(x), (__m512bh)_mm512_castps_si512(y));
  };
  report_compute("bfloat16", threads, compute_rate(threads, 2.0 * 32, ones, ones, dot2));
#endif
#if defined(__AVX512FP16__)
  const __m512h halves = _mm512_set1_ph(0.5f);
  const auto fused = [](__m512h sum, __m512h x, __m512h y) { return _mm512_fmadd_ph(sum, x, y); };
  report_compute("float16", threads, compute_rate(threads, 2.0 * 32, halves, halves, fused));
#endif
}

// Types that some instruction not tried here may do faster. x86 without AVX-512 FP16 or BF16 has no faster way than
// float32 for those two, so they stay bounded.
void report_unbounded() {
#if defined(__AMX_TILE__)
  // Wide types too: three bf16 products make a float32 one (Henry, Tang, Heinecke, ARITH 2019), int8 products make a
  // float64 one (Ootomo, Ozaki, Yokota, IJHPCA 2024), and a tile does 16-32 times the operations of a vector.
  for (const char* const dtype : kComputeTypes) unbounded(dtype, "AMX tiles are not measured");
#elif !defined(__x86_64__)
  unbounded("int8", "dot products of this architecture are not measured");
  unbounded("bfloat16", "dot products of this architecture are not measured");
  unbounded("float16", "half-precision arithmetic of this architecture is not measured");
#elif !defined(__AVX512VNNI__)
  unbounded("int8", "dot products without AVX-512 VNNI are not measured");
#endif
}

bool parse_level(const char* text, Level* level) {
  const size_t least = size_t(kUnroll) * kVectorBytes * 3;  // one unrolled step of every access
  return std::sscanf(text, "%15[^:]:%zu", level->name, &level->bytes) == 2 && level->bytes >= least;
}

bool can_start(int threads) {
  int started = 0;
#pragma omp parallel num_threads(threads)
#pragma omp single
  started = omp_get_num_threads();
  return started == threads;
}

// Memory in huge pages where the kernel gives them, each part touched first by the thread that will use it.
char* take_memory(size_t stride, int threads) {
  void* memory = mmap(nullptr, stride * threads, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  madvise(memory, stride * threads, MADV_HUGEPAGE);
#pragma omp parallel num_threads(threads)
  {
    char* mine = static_cast<char*>(memory) + omp_get_thread_num() * stride;
    for (size_t at = 0; at < stride; at += kPageBytes) mine[at] = 1;
  }
  return static_cast<char*>(memory);
}

}  // namespace

int main(int argc, char** argv) {
  const int all = argc > 1 ? std::atoi(argv[1]) : 0;
  Level levels[kMostLevels] = {};
  const int count = argc - 2;
  size_t largest = 0;
  bool good = all >= 1 && all <= kMostThreads && count >= 1 && count <= kMostLevels;
  for (int i = 0; good && i < count; ++i) {
    good = parse_level(argv[i + 2], &levels[i]);
    largest = levels[i].bytes > largest ? levels[i].bytes : largest;
  }
  if (!good) {
    std::fprintf(stderr, "usage: peaks THREADS LEVEL:BYTES_PER_THREAD...\n");
    return 2;
  }
  const size_t stride = (largest + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
  if (!can_start(all)) {
    std::fprintf(stderr, "fewer than %d threads could be started\n", all);
    return 1;
  }
  char* memory = take_memory(stride, all);
  if (memory == nullptr) {
    std::perror("mmap");
    return 1;
  }
  report_unbounded();
  const int thread_counts[] = {1, all};
  for (const int threads : thread_counts) {
    measure_float(threads);
    measure_narrow(threads);
    for (int i = 0; i < count; ++i)
      for (const Access& access : kAccesses)
        if (kHasStream || !access.streams) measure_bandwidth(levels[i], memory, stride, threads, access);
    if (all == 1) break;
  }
  return 0;
}
