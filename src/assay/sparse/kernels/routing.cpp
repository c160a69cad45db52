// A router's choices in one pass: each token's best groups, and the rows of each group.
//
// As separate operators of PyTorch (topk, sort, searchsorted, and what joins them) this takes ten calls, which cost
// more than the experts do for a few tokens.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "counting_sort.h"

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

/// Each token's scores: the softmax over its groups, or the sigmoid of each. False where a logit is not finite.
template <typename T>
bool score(const T* logits, int64_t tokens, int64_t groups, bool sigmoid, T* scores) {
  for (int64_t token = 0; token < tokens; token++, logits += groups, scores += groups) {
    T largest = logits[0], sum = 0;
    for (int64_t group = 0; group < groups; group++) {
      if (!std::isfinite(logits[group])) return false;
      largest = logits[group] > largest ? logits[group] : largest;
    }
    for (int64_t group = 0; group < groups; group++) {
      scores[group] = sigmoid ? 1 / (1 + std::exp(-logits[group])) : std::exp(logits[group] - largest);
      sum += scores[group];
    }
    for (int64_t group = 0; group < groups && !sigmoid; group++) scores[group] /= sum;
  }
  return true;
}

/// Scores, choices, rows and gates of logits. `bias` [groups], or null, counts for the choice only.
template <typename T>
int gate(const T* logits, const T* bias, int64_t tokens, int64_t groups, int64_t taken, bool sigmoid, bool normalised,
         T* scores, int64_t* index, int64_t* ends, int64_t* pair_of_row, int64_t* token_of_row, T* gates) {
  if (!score(logits, tokens, groups, sigmoid, scores)) return 5;
  std::vector<T> preferred(groups);
  for (int64_t token = 0; token < tokens; token++) {
    const T* row = scores + token * groups;
    for (int64_t group = 0; bias && group < groups; group++) preferred[group] = row[group] + bias[group];
    best(bias ? preferred.data() : row, groups, taken, index + token * taken);
  }
  assay::counting_sort(index, tokens * taken, taken, groups, ends, pair_of_row, token_of_row);
  for (int64_t row = 0; row < tokens * taken; row++) {
    const int64_t token = token_of_row[row];
    T sum = 0;
    for (int64_t place = 0; normalised && place < taken; place++)
      sum += scores[token * groups + index[token * taken + place]];
    const T least = std::numeric_limits<T>::min();  // where all of them underflowed
    gates[row] = scores[token * groups + index[pair_of_row[row]]] / (normalised ? std::max(sum, least) : T(1));
  }
  return 0;
}

}  // namespace

extern "C" {

/// index[tokens][taken]: each token's groups. Of the rows, sorted by group: ends [groups], and for each row its pair
/// (token * taken + place) and its token. 0, or 1 for an unknown kind, 5 for NaN.
int assay_route(const void* scores, int64_t tokens, int64_t groups, int64_t taken, int32_t kind, int64_t* index,
                int64_t* ends, int64_t* pair_of_row, int64_t* token_of_row) {
  if (kind != 0 && kind != 1) return 1;
  const bool sound = kind == 0 ? choose(static_cast<const float*>(scores), tokens, groups, taken, index)
                               : choose(static_cast<const double*>(scores), tokens, groups, taken, index);
  if (!sound) return 5;
  assay::counting_sort(index, tokens * taken, taken, groups, ends, pair_of_row, token_of_row);
  return 0;
}

/// The same from logits, with scores [tokens][groups] and each row's gate. 5 where a logit is not finite.
int assay_gate(const void* logits, const void* bias, int64_t tokens, int64_t groups, int64_t taken, int32_t kind,
               int32_t sigmoid, int32_t normalised, void* scores, int64_t* index, int64_t* ends, int64_t* pair_of_row,
               int64_t* token_of_row, void* gates) {
  if (kind == 0)
    return gate(static_cast<const float*>(logits), static_cast<const float*>(bias), tokens, groups, taken, sigmoid,
                normalised, static_cast<float*>(scores), index, ends, pair_of_row, token_of_row,
                static_cast<float*>(gates));
  if (kind == 1)
    return gate(static_cast<const double*>(logits), static_cast<const double*>(bias), tokens, groups, taken, sigmoid,
                normalised, static_cast<double*>(scores), index, ends, pair_of_row, token_of_row,
                static_cast<double*>(gates));
  return 1;
}
}
