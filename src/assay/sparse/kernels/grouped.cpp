// Entry points of the grouped products, which check what would make them read or write beyond their operands.
#include "grouped.h"

#include "counting_sort.h"
#include "grouped_outer.h"

namespace {

using namespace assay;

enum Status { kGood = 0, kUnknownKind = 1, kMemory = 2, kEnds = 3, kRowIndex = 4 };

bool within(const int64_t* index, int64_t count, int64_t limit) {
  int64_t outside = 0;
  for (int64_t i = 0; index && i < count; i++) outside += index[i] < 0 || index[i] >= limit;
  return outside == 0;
}

Status check(const AssayGrouped& p) {
  int64_t last = 0;
  for (int64_t group = 0; group < p.groups; last = p.ends[group++])
    if (p.ends[group] < last || p.ends[group] > p.rows) return kEnds;
  if (!within(p.x_index, last, p.x_rows) || !within(p.y_index, last, p.y_rows)) return kRowIndex;
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

/// The places of each group in order: a counting sort. `ends`, `order` and the places' rows, of `choices` places each,
/// are written; kRowIndex for a group outside.
int assay_group_rows(const int64_t* group_of, int64_t places, int64_t choices, int64_t groups, int64_t* ends,
                     int64_t* order, int64_t* rows) {
  if (!within(group_of, places, groups)) return kRowIndex;
  counting_sort(group_of, places, choices, groups, ends, order, rows);
  return kGood;
}
}
