// One network of network.py on every patch that it can see: 512 for one step, 2^25 for two, in float64.
//
// After step 1 a cell has one of 512 vectors, so what a 3x3 window adds to the second step's hidden channels is a row
// of a table; the sum over three windows side by side depends on three rows of five cells, 32,768 of them. For fixed
// middle rows the hidden channels are therefore a row that the top decides plus a row that the bottom decides: one
// addition a patch and channel. The bottom row's 32 values lie in the lanes of vectors. Zero weights of the 1x1 cost
// nothing.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <new>
#include <thread>
#include <vector>

namespace {

constexpr int kRow = 32;           // values of a row of five cells
constexpr int kThree = 32 * 1024;  // values of three such rows

// As wide as registers are: GCC takes wider vectors apart through memory, at a tenth of the speed.
#if defined(__AVX512F__)
typedef double Lanes __attribute__((vector_size(64)));
#elif defined(__AVX__)
typedef double Lanes __attribute__((vector_size(32)));
#else
typedef double Lanes __attribute__((vector_size(16)));
#endif
constexpr int kWide = sizeof(Lanes) / sizeof(double), kParts = kRow / kWide;

struct Row {
  Lanes part[kParts];
};

inline Row all(double value) {
  Row row;
  for (Lanes& part : row.part) part = Lanes{} + value;
  return row;
}
inline Lanes positive(Lanes x) {
  return x > 0 ? x : Lanes{};
}

// Weights as convolutions hold them: conv [2m][channels][9], mix [m][2m], last [m].
struct Step {
  const double *conv, *conv_bias, *mix, *mix_bias;
};

int rule(int nine) {
  int alive = __builtin_popcount(nine);
  return alive == 3 || (alive == 4 && (nine >> 4 & 1));
}

// Window c of three rows of five cells, of 9 bits.
inline int window(int rows, int c) {
  return (rows >> c & 7) | (rows >> (5 + c) & 7) << 3 | (rows >> (10 + c) & 7) << 6;
}

// The channels after step 1 of each of the 512 patches: [512][m].
std::vector<double> first_step(const Step& step, int m) {
  std::vector<double> out(512 * m), hidden(2 * m);
  for (int nine = 0; nine < 512; nine++) {
    for (int h = 0; h < 2 * m; h++) {
      double sum = step.conv_bias[h];
      for (int p = 0; p < 9; p++) sum += (nine >> p & 1) * step.conv[h * 9 + p];
      hidden[h] = std::max(sum, 0.0);
    }
    for (int k = 0; k < m; k++) {
      double sum = step.mix_bias[k];
      for (int h = 0; h < 2 * m; h++) sum += step.mix[k * 2 * m + h] * hidden[h];
      out[nine * m + k] = std::max(sum, 0.0);
    }
  }
  return out;
}

struct Found {
  int64_t wrong = 0;
  double margin = INFINITY;
  std::vector<int64_t> first;
  void note(double margin_here, int64_t patch, int64_t most) {
    margin = std::min(margin, margin_here);
    if (margin_here > 0) return;
    wrong++;
    if (static_cast<int64_t>(first.size()) < most) first.push_back(patch);
  }
};

class TwoSteps {
 public:
  TwoSteps(const Step& one, const Step& two, const double* last, double last_bias, int m)
      : m_(m), two_(two), last_bias_(last_bias) {
    tables(first_step(one, m));
    for (int k = 0; k < m; k++) {
      if (last[k] == 0) continue;
      outputs_.push_back({last[k], two.mix_bias[k], {}});
      for (int h = 0; h < 2 * m; h++)
        if (two.mix[k * 2 * m + h] != 0) outputs_.back().terms.push_back({h, two.mix[k * 2 * m + h]});
    }
    for (int rows = 0; rows < kThree; rows++)
      next_.push_back(rule(window(rows, 0)) | rule(window(rows, 1)) << 1 | rule(window(rows, 2)) << 2);
  }

  // The patches whose three middle rows are these, by those rows' bits.
  void middle(int rows, int64_t most, Found& found) const {
    const int wide = 2 * m_;
    std::vector<Row> bottom(wide), hidden(wide);
    std::vector<double> top(wide);
    for (int h = 0; h < wide; h++)
      for (int b = 0; b < kRow; b++) bottom[h].part[b / kWide][b % kWide] = added_[2][(rows >> 5 | b << 10) * wide + h];
    for (int t = 0; t < kRow; t++) {
      const int top_rows = (rows << 5 | t) & (kThree - 1);
      for (int h = 0; h < wide; h++) {
        top[h] = added_[0][top_rows * wide + h] + added_[1][rows * wide + h];
        for (int i = 0; i < kParts; i++) hidden[h].part[i] = positive(bottom[h].part[i] + top[h]);
      }
      const Row logit = after_hidden(hidden.data());
      Row margin;
      for (int b = 0; b < kRow; b++) {
        int nine = next_[top_rows] | next_[rows] << 3 | next_[rows >> 5 | b << 10] << 6;
        margin.part[b / kWide][b % kWide] = rule(nine) ? 1.0 : -1.0;
      }
      Lanes least = Lanes{} + INFINITY;
      for (int i = 0; i < kParts; i++) {
        margin.part[i] *= logit.part[i];
        margin.part[i] = margin.part[i] == margin.part[i] ? margin.part[i] : Lanes{} - INFINITY;  // NaN is wrong
        least = margin.part[i] < least ? margin.part[i] : least;
      }
      bool right = true;
      double smallest = INFINITY;
      for (int i = 0; i < kWide; i++) {
        right &= least[i] > 0;
        smallest = std::min(smallest, least[i]);
      }
      if (right)
        found.margin = std::min(found.margin, smallest);
      else
        for (int b = 0; b < kRow; b++) found.note(margin.part[b / kWide][b % kWide], t | rows << 5 | b << 20, most);
    }
  }

 private:
  struct Term {
    int hidden;
    double weight;
  };
  struct Output {
    double weight, bias;
    std::vector<Term> terms;
  };

  Row after_hidden(const Row* hidden) const {
    Row logit = all(last_bias_);
    for (const Output& output : outputs_) {
      Row sum = all(output.bias);
      for (const Term& term : output.terms)
        for (int i = 0; i < kParts; i++) sum.part[i] += hidden[term.hidden].part[i] * term.weight;
      for (int i = 0; i < kParts; i++) logit.part[i] += positive(sum.part[i]) * output.weight;
    }
    return logit;
  }

  // added_[r][three rows][h]: what the windows of row r of the 3x3 add to hidden channel h; row 1 has the bias.
  void tables(const std::vector<double>& channels) {
    const int wide = 2 * m_;
    std::vector<double> one(9 * 512 * wide);
    for (int p = 0; p < 9; p++)
      for (int nine = 0; nine < 512; nine++)
        for (int h = 0; h < wide; h++) {
          double sum = 0;
          for (int k = 0; k < m_; k++) sum += two_.conv[(h * m_ + k) * 9 + p] * channels[nine * m_ + k];
          one[(p * 512 + nine) * wide + h] = sum;
        }
    for (int r = 0; r < 3; r++) {
      added_[r].resize(static_cast<size_t>(kThree) * wide);
      for (int rows = 0; rows < kThree; rows++)
        for (int h = 0; h < wide; h++) {
          double sum = r == 1 ? two_.conv_bias[h] : 0;
          for (int c = 0; c < 3; c++) sum += one[((3 * r + c) * 512 + window(rows, c)) * wide + h];
          added_[r][static_cast<size_t>(rows) * wide + h] = sum;
        }
    }
  }

  int m_;
  Step two_;
  double last_bias_;
  std::vector<double> added_[3];
  std::vector<Output> outputs_;
  std::vector<int> next_;
};

Found one_step(const Step& step, const double* last, double last_bias, int m, int64_t most) {
  Found found;
  const std::vector<double> channels = first_step(step, m);
  for (int nine = 0; nine < 512; nine++) {
    double logit = last_bias;
    for (int k = 0; k < m; k++) logit += last[k] * channels[nine * m + k];
    found.note(rule(nine) ? logit : -logit, nine, most);
  }
  return found;
}

Found two_steps(const TwoSteps& network, int threads, int64_t most) {
  std::vector<Found> parts(threads);
  std::vector<std::thread> workers;
  for (int i = 0; i < threads; i++)
    workers.emplace_back([&, i] {
      for (int rows = kThree * i / threads; rows < kThree * (i + 1) / threads; rows++)
        network.middle(rows, most, parts[i]);
    });
  for (std::thread& worker : workers) worker.join();
  Found found;
  for (const Found& part : parts) {
    found.wrong += part.wrong;
    found.margin = std::min(found.margin, part.margin);
    for (int64_t patch : part.first)
      if (static_cast<int64_t>(found.first.size()) < most) found.first.push_back(patch);
  }
  return found;
}

}  // namespace

extern "C" {

// parameters: conv, its bias, mix, its bias for each step, then last and its bias. Patches that are wrong, at most
// `most` of them, go to `patches`, in the order of their middle rows; their whole number to `wrong`; the smallest
// signed logit, positive where right, to `margin`. Returns 0; 1 for steps that are neither 1 nor 2, 2 where memory is
// short.
int assay_life_enumerate(const double* const* parameters, int32_t steps, int32_t m, int32_t threads, int64_t most,
                         int64_t* patches, int64_t* wrong, double* margin) {
  if (steps != 1 && steps != 2) return 1;
  try {
    const double* const* p = parameters;
    const Step one = {p[0], p[1], p[2], p[3]};
    const double *last = p[4 * steps], last_bias = p[4 * steps + 1][0];
    const Found found =
        steps == 1 ? one_step(one, last, last_bias, m, most)
                   : two_steps(TwoSteps(one, {p[4], p[5], p[6], p[7]}, last, last_bias, m), std::max(1, threads), most);
    std::copy(found.first.begin(), found.first.end(), patches);
    *wrong = found.wrong;
    *margin = found.margin;
    return 0;
  } catch (const std::bad_alloc&) {
    return 2;
  }
}
}
