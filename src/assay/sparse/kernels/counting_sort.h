// Rows of groups: a counting sort, as a router's choices and anybody's groups need it.
#pragma once
#include <cstdint>
#include <cstring>

namespace assay {

/// Places i of group_of[count], `choices` of them for each row of it, sorted by group and in order within: ends
/// [groups], and for each sorted place the one that it was and the row that it is in. Groups are below `groups`.
inline void counting_sort(const int64_t* group_of, int64_t count, int64_t choices, int64_t groups, int64_t* ends,
                          int64_t* order, int64_t* rows) {
  memset(ends, 0, groups * sizeof(int64_t));
  for (int64_t i = 0; i < count; i++) ends[group_of[i]]++;
  for (int64_t group = 0, sum = 0; group < groups; group++) {
    const int64_t members = ends[group];
    ends[group] = sum;
    sum += members;
  }
  for (int64_t row = 0, i = 0; i < count; row++)
    for (int64_t choice = 0; choice < choices; choice++, i++) {
      const int64_t place = ends[group_of[i]]++;
      order[place] = i;
      rows[place] = row;
    }
}

}  // namespace assay
