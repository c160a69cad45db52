"""Intervals for the log-ratio of two sides, clustered by process. Positive: the second side is faster.

The unit is a round, one fresh process per side; its turns only sharpen it. Each round is reduced to the median of its
log-ratios (spikes do not move it, drift shared within a turn cancels, autocorrelation stays inside the round), and the
interval is the wider of two over those K medians:
  1. Student's t for their mean, the average process;
  2. the percentile cluster bootstrap of their median, the typical process (Efron 1979, section 2). For a median the
     bootstrap's law is known in closed form, so that it is computed exactly: no resampling, no random numbers.
Measured coverage of a 95 % interval in percent, on synthetic rounds with a true 1.3x; every size is in
docs/data/statistics_coverage.json, written by benchmarks/statistics_coverage.py:

  noise                   K  n percentile studentised     t chosen typical  width
  quiet                   6 40       84.9        93.9  94.7   95.1    95.2  0.78%
  quiet                  10 20       90.0        95.0  94.8   96.5    96.5  0.64%
  spread processes        6 40       85.9        94.7  94.8   95.3    95.2  2.25%
  spread processes       10 20       89.3        94.2  94.6   96.3    96.3  1.80%
  drift, autocorrelated   6 40       84.7        93.7  94.6   94.9    94.9  1.98%
  drift, autocorrelated  10 20       90.0        95.3  95.2   96.8    96.8  1.79%
  spiky                   6 40       86.8        94.8  95.5   95.8    95.8  1.81%
  spiky                  10 20       89.5        94.1  94.6   96.3    96.3  1.60%
  bimodal processes       6 40       83.1        95.2  98.6   98.9    98.9  4.97%
  bimodal processes      10 20       85.2        89.4  97.1   98.8    98.8  3.87%
  bimodal candidate       6 40       74.1        84.0  81.3   82.0    96.3  2.16%
  bimodal candidate      10 20       86.6        89.8  88.7   90.0    96.8  1.68%
  half loaded             6 40       86.5        94.7  94.5   95.0    95.0  3.90%
  half loaded            10 20       89.5        94.2  94.8   96.5    96.5  3.99%

"chosen" is judged against the mean over processes like the columns before it, "typical" against their median; "width"
is the chosen half-width; the simulation's own error is 0.3 points. So the percentile bootstrap of the mean falls short
with few clusters; the studentised one does too where processes are bimodal, at up to twice the width; t holds, and the
wider of the two adds about an eighth at K = 10 for a margin.
Limits: where one side alone is bimodal, the mean depends on processes that a short run may never meet, and no interval
can include what is rarer than about 1 in K: coverage of the mean falls, that of the typical process does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from assay.referee.timing.samples import Floats, Ints
from assay.referee.timing.student import student_cdf, student_quantile

SMALLEST_P = 1e-12
"""Below this a p-value says more about the model than about the data."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A log-ratio with its confidence interval. Raises ValueError unless lower <= estimate <= upper."""

    estimate: float
    lower: float
    upper: float
    confidence: float
    rounds: int

    def __post_init__(self) -> None:
        if not self.lower <= self.estimate <= self.upper:
            raise ValueError(f"interval out of order: {self.lower}, {self.estimate}, {self.upper}")

    @property
    def ratio(self) -> float:
        """The speedup: 1.3 means that the second side takes 1/1.3 of the first side's time."""
        return math.exp(self.estimate)

    @property
    def lower_ratio(self) -> float:
        """The interval's lower end as a speedup."""
        return math.exp(self.lower)

    @property
    def upper_ratio(self) -> float:
        """The interval's upper end as a speedup."""
        return math.exp(self.upper)

    @property
    def fake_log(self) -> float:
        """The largest log-ratio, either way, that this interval allows: for A/A, what the run can fake."""
        return max(abs(self.lower), abs(self.upper))

    def widened(self, by_log: float) -> Interval:
        """The same estimate, both ends moved outwards."""
        return Interval(self.estimate, self.lower - by_log, self.upper + by_log, self.confidence, self.rounds)

    def to_json(self) -> dict[str, Any]:
        """A plain mapping for certificates, as speedups."""
        return {
            "ratio": self.ratio,
            "lower": self.lower_ratio,
            "upper": self.upper_ratio,
            "confidence": self.confidence,
            "rounds": self.rounds,
        }


def round_medians(round: Ints, log_ratio: Floats, min_turns: int) -> Floats:
    """float64[K]: the median log-ratio of every round that keeps at least `min_turns` turns, in order of the rounds."""
    ordered = log_ratio[np.lexsort((log_ratio, round))]
    counts = np.unique(round, return_counts=True)[1]
    starts = np.cumsum(counts) - counts
    medians = (ordered[starts + (counts - 1) // 2] + ordered[starts + counts // 2]) / 2
    return np.asarray(medians[counts >= min_turns], dtype=np.float64)


def interval(medians: ArrayLike, confidence: float = 0.95) -> Interval:
    """The wider of the two intervals over float[K] round medians; raises ValueError for K < 2."""
    values = np.asarray(medians, dtype=np.float64)
    if values.ndim != 1 or values.size < 2 or not np.all(np.isfinite(values)):
        raise ValueError(f"an interval needs at least 2 finite round medians, got {values!r}")
    mean, error = float(values.mean()), standard_error(values)
    reach = student_quantile(0.5 + confidence / 2, values.size - 1) * error
    low, high = bootstrap_median_interval(values, confidence)
    return Interval(float(np.median(values)), min(mean - reach, low), max(mean + reach, high), confidence, values.size)


def standard_error(medians: Floats) -> float:
    """Of the mean over rounds."""
    return float(medians.std(ddof=1) / math.sqrt(medians.size))


def p_value(medians: ArrayLike, threshold_log: float) -> float:
    """One-sided: how likely such medians are if the true log-ratio is at most `threshold_log`.

    The larger of the t-test's and the bootstrap's, so that p <= (1 - confidence) / 2 says the same as the interval's
    lower end lying above the threshold.
    """
    values = np.asarray(medians, dtype=np.float64)
    error, gap = standard_error(values), float(values.mean()) - threshold_log
    by_mean = float(gap <= 0) if error == 0.0 else student_cdf(-gap / error, values.size - 1)
    support, weights = _bootstrap_medians(values)
    by_median = float(weights[support <= threshold_log].sum())
    return min(1.0, max(by_mean, by_median, SMALLEST_P))


def bootstrap_median_interval(values: Floats, confidence: float) -> tuple[float, float]:
    """The percentile cluster bootstrap of the median, exact; the ends are symmetric under negation."""
    support, weights = _bootstrap_medians(values)
    tail = (1 - confidence) / 2 - 1e-12
    low = int(np.argmax(np.cumsum(weights) > tail))
    high = support.size - 1 - int(np.argmax(np.cumsum(weights[::-1]) > tail))
    return float(support[low]), float(support[high])


def _bootstrap_medians(values: Floats) -> tuple[Floats, Floats]:
    """Every median that resampling can give, ascending, with its probability."""
    ranks_low, ranks_high, weights = _bootstrap_weights(values.size)
    ordered = np.sort(values)
    support = (ordered[ranks_low] + ordered[ranks_high]) / 2
    order = np.argsort(support, kind="stable")
    return support[order], weights[order]


@lru_cache(maxsize=64)
def _bootstrap_weights(count: int) -> tuple[Ints, Ints, Floats]:
    """Ranks of the two middle values of a resample of `count` out of `count`, and the probability of each such pair.

    P(h-th smallest has rank <= i) = P(Binomial(count, i / count) >= h). For an even count the middles h and h + 1 have
    ranks i < j exactly if h draws are <= i with one at i, and h are >= j with one at j.
    """
    half = (count + 1) // 2
    below = [_binomial_at_least(count, rank / count, half) for rank in range(count + 1)]
    pairs: dict[tuple[int, int], float] = {}
    for i in range(1, count + 1):
        pairs[i, i] = below[i] - below[i - 1]
        if count % 2:
            continue
        for j in range(i + 1, count + 1):
            lower = (i / count) ** half - ((i - 1) / count) ** half
            upper = ((count - j + 1) / count) ** half - ((count - j) / count) ** half
            pairs[i, j] = math.comb(count, half) * lower * upper
            pairs[i, i] -= pairs[i, j]
    low, high = (np.array([key[end] - 1 for key in pairs], dtype=np.int64) for end in (0, 1))
    return low, high, np.maximum(np.array(list(pairs.values()), dtype=np.float64), 0.0)


def _binomial_at_least(count: int, chance: float, least: int) -> float:
    return sum(math.comb(count, k) * chance**k * (1 - chance) ** (count - k) for k in range(least, count + 1))


@dataclass(frozen=True, slots=True)
class Quantiles:
    """How one side's times are distributed, in nanoseconds."""

    count: int
    least: float
    p05: float
    p25: float
    p50: float
    p75: float
    p95: float
    most: float

    @classmethod
    def of(cls, times_ns: ArrayLike) -> Quantiles:
        """Of float[m] times; raises ValueError for none."""
        times = np.asarray(times_ns, dtype=np.float64)
        if times.size == 0:
            raise ValueError("quantiles of no times")
        cuts = np.quantile(times, (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0))
        return cls(times.size, *(float(cut) for cut in cuts))

    def to_json(self) -> dict[str, float]:
        """A plain mapping for certificates and reports."""
        return {name: getattr(self, name) for name in self.__slots__}
