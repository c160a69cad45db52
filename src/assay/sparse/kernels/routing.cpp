// A router's choices in one pass: each token's best groups, and the rows of each group.
//
// As separate operators of PyTorch (topk, sort, searchsorted, and what joins them) this takes ten calls, which cost
// more than the experts do for a few tokens.
#include <cstdint>
#include <cstring>

namespace {

/// The `taken` largest of `scores`, descending; of equal ones the first. `taken` is small: insertion beats a heap.
template <typename T>
void best(const T* scores, int64_t groups, int64_t taken, int64_t* found) {
  int64_t have = 0;
  for (int64_t group = 0; group < groups; group++) {
    if (have == taken && !(scores[group] > scores[found[have - 1]])) continue;
    int64_t place = have < taken ? have++ : have - 1;
    for (; place > 0 && scores[group] > scores[found[place - 1]]; place--) found[place] = found[place - 1];
    found[place] = group;
  }
}

template <typename T>
bool choose(const T* scores, int64_t tokens, int64_t groups, int64_t taken, int64_t* index) {
  for (int64_t token = 0; token < tokens; token++) {
    const T* row = scores + token * groups;
    bool ordered = true;
    for (int64_t group = 0; group < groups; group++) ordered &= row[group] == row[group];
    if (!ordered) return false;  // no order has a place for NaN
    best(row, groups, taken, index + token * taken);
  }
  return true;
}

}  // namespace

extern "C" {

/// index[tokens][taken]: each token's groups. Pairs of a token and a group, sorted by group, in order within: ends
/// [groups], and for each row its pair (token * taken + place) and its token. 0, or 1 for an unknown kind, 5 for NaN.
int assay_route(const void* scores, int64_t tokens, int64_t groups, int64_t taken, int32_t kind, int64_t* index,
                int64_t* ends, int64_t* pair_of_row, int64_t* token_of_row) {
  if (kind != 0 && kind != 1) return 1;
  const bool sound = kind == 0 ? choose(static_cast<const float*>(scores), tokens, groups, taken, index)
                               : choose(static_cast<const double*>(scores), tokens, groups, taken, index);
  if (!sound) return 5;
  memset(ends, 0, groups * sizeof(int64_t));
  for (int64_t pair = 0; pair < tokens * taken; pair++) ends[index[pair]]++;
  for (int64_t group = 0, sum = 0; group < groups; group++) {
    const int64_t count = ends[group];
    ends[group] = sum;
    sum += count;
  }
  for (int64_t token = 0, pair = 0; token < tokens; token++)
    for (int64_t place = 0; place < taken; place++, pair++) {
      const int64_t row = ends[index[pair]]++;
      pair_of_row[row] = pair;
      token_of_row[row] = token;
    }
  return 0;
}
}
