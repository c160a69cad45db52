// Entry points of products with unstructured sparse matrices, and the ways between them and dense matrices.
#include "indexed.h"
#include "permuted.h"

namespace {

using namespace assay;

/// Rows of x from m on, B at a time.
template <typename T, int B>
void multiply_some(const AssayMasked& p, int64_t m) {
  static thread_local Scratch memory, tail;
  const Masked<T> w = prepared<T>(p, m, B, memory, tail);
#if defined(__AVX512F__)
  if constexpr (B == 1 && sizeof(T) == sizeof(float)) {
    static const bool able = __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("bmi2");
    const double most = kPermutedDensity * static_cast<double>(p.in_features) * static_cast<double>(p.out_features);
    if (able && static_cast<double>(p.kept) < most) return multiply_permuted(w, p.out_features, p.threads);
  }
#endif
  multiply_expanded<T, B>(w, p.out_features, p.threads);
}

template <typename T>
void multiply_masked(const AssayMasked& p) {
  for (int64_t m = 0, done; m < p.rows; m += done) {
    const int64_t left = p.rows - m;
    done = left == 1 ? 1 : left == 2 ? 2 : left <= 4 ? 4 : 8;
    if (done == 1) multiply_some<T, 1>(p, m);
    if (done == 2) multiply_some<T, 2>(p, m);
    if (done == 4) multiply_some<T, 4>(p, m);
    if (done == 8) multiply_some<T, 8>(p, m);
  }
}

/// Visits the kept elements of every row in order: (index into the row, index into the values).
template <typename Visit>
void visit(const AssayMasked& p, Visit each) {
  const int64_t words = words_in(p.in_features);
#pragma omp parallel for num_threads(p.threads) schedule(static)
  for (int64_t row = 0; row < p.out_features; row++) {
    int64_t j = p.row_starts[row];
    for (int64_t word = 0; word < words; word++)
      for (uint64_t bits = p.mask[row * words + word]; bits; bits &= bits - 1)
        each(row * p.y_stride + word * 64 + __builtin_ctzll(bits), j++);
  }
}

template <typename T>
void make_dense(const AssayMasked& p) {
  T* to = static_cast<T*>(p.y);
  const T* values = static_cast<const T*>(p.values);
  visit(p, [&](int64_t place, int64_t j) { to[place] = values[j]; });
}

template <typename T>
void sample(const AssayMasked& p) {
  const T* from = static_cast<const T*>(p.y);
  T* values = static_cast<T*>(p.values);
  visit(p, [&](int64_t place, int64_t j) { values[j] = from[place]; });
}

}  // namespace

extern "C" {

/// y = x times the matrix transposed, plus bias. 0, 2 where memory is short, or 3 for another number of values than the
/// rows hold (all three entry points).
int assay_masked_multiply(const AssayMasked* p) {
  if (p->row_starts[p->out_features] != p->kept) return 3;
  try {
    if (p->kind == 1)
      p->columns ? multiply_indexed<double>(*p) : multiply_masked<double>(*p);
    else
      p->columns ? multiply_indexed<float>(*p) : multiply_masked<float>(*p);
    return 0;
  } catch (const std::bad_alloc&) {
    return 2;
  }
}

/// Values into a dense matrix of zeros.
int assay_masked_dense(const AssayMasked* p) {
  if (p->row_starts[p->out_features] != p->kept) return 3;
  p->kind == 1 ? make_dense<double>(*p) : make_dense<float>(*p);
  return 0;
}

/// Values from the dense matrix's kept elements.
int assay_masked_sample(const AssayMasked* p) {
  if (p->row_starts[p->out_features] != p->kept) return 3;
  p->kind == 1 ? sample<double>(*p) : sample<float>(*p);
  return 0;
}
}
