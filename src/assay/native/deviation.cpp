// How far an output is from the oracle's, in one pass over both: what correctness/deviation.py calls `measure`.
//
// Native, because every timed output is compared: NumPy took 140 ms for two million elements, this takes 5.
#include <math.h>
#include <stdint.h>
#include <string.h>

namespace {

constexpr double kLargest = 1.7976931348623157e308;
constexpr double kTiny = 1.1754943508222875e-38;  // float32's smallest normal number, lest a row of zeros divide by 0

struct Half {
  _Float16 value;
  double wide() const { return static_cast<double>(value); }
};
struct Brain {
  uint16_t bits;
  double wide() const {
    uint32_t word = static_cast<uint32_t>(bits) << 16;
    float value;
    memcpy(&value, &word, sizeof value);
    return value;
  }
};
struct Single {
  float value;
  double wide() const { return value; }
};
struct Double {
  double value;
  double wide() const { return value; }
};

double mean_square(const double* wanted, int64_t count) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < count; i++) {
    double w = fabs(wanted[i]) <= kLargest ? wanted[i] : 0.0;
    sum += w * w;
  }
  return sum / static_cast<double>(count);
}

// 0 for a number, 1 and -1 for the infinities, 2 for NaN.
inline int kind(double x, double largest) {
  return isnan(x) ? 2 : x > largest ? 1 : x < -largest ? -1 : 0;
}

template <typename T>
inline double element(const T* got, const double* wanted, int64_t i, double least_scale, double unit) {
  double w = wanted[i], size = fabs(w);
  bool counts = size <= kLargest;
  double difference = counts ? fabs(got[i].wide() - w) : 0.0;
  size = counts && size > least_scale ? size : least_scale;
  double error = difference / (size * unit + kTiny);
  return error <= kLargest ? error : INFINITY;  // NaN too
}

}  // namespace

extern "C" {

typedef struct {
  double worst_element, worst_row;
  int64_t where;    // flat index of the worst element, the first of several
  int32_t special;  // whether NaN or infinity stand elsewhere than wanted
} assay_native_deviation_result;
}

namespace {

template <typename T>
void deviation(const T* got, const double* wanted, int64_t rows, int64_t columns, double unit, double largest,
               assay_native_deviation_result* out) {
  double power = 0;
  for (int64_t r = 0; r < rows; r++) power += mean_square(wanted + r * columns, columns);
  power /= static_cast<double>(rows);
  *out = {-1.0, 0.0, 0, 0};
  for (int64_t r = 0; r < rows; r++) {
    const T* g = got + r * columns;
    const double* w = wanted + r * columns;
    double own = mean_square(w, columns);
    double least_scale = sqrt(own > power ? own : power);
    double worst = 0, squares = 0;
    double differs = 0;
#pragma omp simd reduction(max : worst, differs) reduction(+ : squares)
    for (int64_t i = 0; i < columns; i++) {
      double error = element(g, w, i, least_scale, unit);
      worst = error > worst ? error : worst;
      squares += error * error;
      double here = fabs(kind(g[i].wide(), kLargest) - kind(w[i], largest));
      differs = here > differs ? here : differs;
    }
    if (worst > out->worst_element) {
      int64_t i = 0;
      while (!(element(g, w, i, least_scale, unit) >= worst)) i++;
      out->worst_element = worst;
      out->where = r * columns + i;
    }
    double row = sqrt(squares / static_cast<double>(columns));
    if (!(row <= out->worst_row)) out->worst_row = row;
    out->special |= differs > 0;
  }
}

}  // namespace

extern "C" {

// got: rows x columns of type 1 float, 2 double, 3 float16, 4 bfloat16, dense; wanted: doubles. Returns 1 for another
// type.
int assay_native_deviation(const void* got, int32_t type, const double* wanted, int64_t rows, int64_t columns,
                           double unit, double largest, assay_native_deviation_result* out) {
  switch (type) {
    case 1:
      deviation(static_cast<const Single*>(got), wanted, rows, columns, unit, largest, out);
      return 0;
    case 2:
      deviation(static_cast<const Double*>(got), wanted, rows, columns, unit, largest, out);
      return 0;
    case 3:
      deviation(static_cast<const Half*>(got), wanted, rows, columns, unit, largest, out);
      return 0;
    case 4:
      deviation(static_cast<const Brain*>(got), wanted, rows, columns, unit, largest, out);
      return 0;
    default:
      return 1;
  }
}
}
