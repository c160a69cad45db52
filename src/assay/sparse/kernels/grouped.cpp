// Entry points of the grouped products, which check what would make them read or write beyond their operands.
#include "grouped.h"

namespace {

using namespace assay;

enum Status { kGood = 0, kUnknownKind = 1, kMemory = 2, kEnds = 3, kRowIndex = 4 };

Status check(const AssayGrouped& p) {
  int64_t last = 0;
  for (int64_t group = 0; group < p.groups; last = p.ends[group++])
    if (p.ends[group] < last || p.ends[group] > p.rows) return kEnds;
  for (int64_t i = 0; p.row_index && i < last; i++)
    if (p.row_index[i] < 0 || p.row_index[i] >= p.x_rows) return kRowIndex;
  return p.kind == 0 || p.kind == 1 ? kGood : kUnknownKind;
}

template <typename Run32, typename Run64>
int run(const AssayGrouped& p, Run32 in_float, Run64 in_double) {
  const Status status = check(p);
  if (status != kGood) return status;
  try {
    p.kind == 0 ? in_float(p) : in_double(p);
    return kGood;
  } catch (const std::bad_alloc&) {
    return kMemory;
  }
}

}  // namespace

extern "C" {

int assay_grouped_multiply(const AssayGrouped* p) {
  return run(*p, grouped_multiply<float>, grouped_multiply<double>);
}

int assay_grouped_outer(const AssayGrouped* p) {
  return run(*p, grouped_outer<float>, grouped_outer<double>);
}
}
