"""Two sides' turns made comparable: what is left out and why, and what the shell's overhead takes off.

A pair with a preemption on either side is dropped whole and counted. The overhead, measured with a null kernel in the
same shell, comes off both sides, and what is unknown about it widens the interval.
Limits: a delay that the scheduler does not report (a core stolen by the hypervisor, a shared cache) is not dropped; it
is paid for by a wider interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from assay.referee.timing.samples import Floats, Ints, Side, Triples

FEWEST_NULL_CALLS = 8
"""Too few for quartiles below."""
OVERHEAD_SHARE_LIMIT = 0.5
"""Above this share of a call's wall time, what is left after subtraction is mostly the overhead's own noise."""


class Reason(Enum):
    """Why a measurement does not decide; stable codes for findings."""

    OVERHEAD_TOO_LARGE = "overhead-too-large"
    """The shell's own cost is over half of a side's time: time a chain of calls instead."""
    TOO_FEW_PAIRS = "too-few-pairs"
    """Too few rounds keep enough turns once preempted pairs are dropped."""
    TOO_NOISY = "too-noisy"
    """The same code against itself differs by more than the resolution limit, and the effect is not far above that."""
    UNEVEN_DROPS = "uneven-drops"
    """The candidate alone was preempted so much more often that dropping could favour it."""
    TOTALS_DISAGREE = "totals-disagree"
    """Faster in the median turn, yet the total time does not confirm half of it: some turns are far slower."""
    WITHIN_NOISE = "within-noise"
    """The interval includes both a worthwhile speedup and none."""
    BUDGET_TOO_SMALL = "budget-too-small"
    """The time allowed does not pay for the fewest processes and turns that can prove anything."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """In place of a number that cannot be had: why, in a code and in words."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Overhead:
    """What the shell itself costs, from calls of a null kernel in it.

    `spread_ns` is half the interquartile range. It is not divided by the root of the sample count: what is unknown is
    how much of the null call's cost a real call pays, and more null calls do not tell. It is common to both sides.
    `error_ns` is the standard error of the median, taken as independent on each side. `baseline_extra_ns` is how much
    more the baseline's shell costs than the candidate's, where one is called from Python and the other is native.
    """

    median_ns: float
    spread_ns: float
    error_ns: float
    samples: int
    baseline_extra_ns: float = 0.0

    @classmethod
    def from_null_calls(cls, time_ns: ArrayLike) -> Overhead:
        """From float[n] wall times; raises ValueError below `FEWEST_NULL_CALLS` of them."""
        times = np.asarray(time_ns, dtype=np.float64)
        if times.ndim != 1 or times.size < FEWEST_NULL_CALLS or not np.all(np.isfinite(times)):
            raise ValueError(f"null calls: at least {FEWEST_NULL_CALLS} finite times needed, got shape {times.shape}")
        low, middle, high = np.quantile(times, (0.25, 0.5, 0.75))
        # For a normal law the interquartile range is 1.349 sd, and the median's standard error 1.2533 sd / sqrt(n).
        error = 1.2533 * (high - low) / 1.349 / np.sqrt(times.size)
        return cls(float(middle), float(high - low) / 2, float(error), int(times.size))

    def beside(self, baseline: Overhead) -> Overhead:
        """This candidate's overhead with the baseline's own; the larger of both uncertainties counts for both."""
        return Overhead(
            self.median_ns,
            max(self.spread_ns, baseline.spread_ns),
            max(self.error_ns, baseline.error_ns),
            min(self.samples, baseline.samples),
            baseline.median_ns - self.median_ns,
        )

    def of(self, side: Side) -> float:
        """Nanoseconds to take off a call of this side."""
        return self.median_ns + (0.0 if side is Side.CANDIDATE else self.baseline_extra_ns)

    def is_too_large(self, call_ns: float, side: Side = Side.CANDIDATE) -> bool:
        """Whether it is, with its spread, over the limit's share of a call of this side."""
        return self.of(side) + self.spread_ns > OVERHEAD_SHARE_LIMIT * call_ns

    def log_error(self, first_ns: float, second_ns: float) -> float:
        """How far the log-ratio of two times, already without the overhead, can move with what is unknown about it.

        The spread is common to both sides; each side's own error counts at two sigma.
        """
        now = np.log(first_ns / second_ns)
        shifts = [abs(np.log((first_ns + by) / (second_ns + by)) - now) for by in (self.spread_ns, -self.spread_ns)]
        return float(max(shifts) + 1.96 * self.error_ns * (1 / first_ns + 1 / second_ns))

    @classmethod
    def none(cls) -> Overhead:
        """Nothing to take off: times that already are the kernel's own, such as those of device events."""
        return cls(0.0, 0.0, 0.0, 0)

    def to_json(self) -> dict[str, Any]:
        """A plain mapping for certificates."""
        return {
            "median_ns": self.median_ns,
            "spread_ns": self.spread_ns,
            "error_ns": self.error_ns,
            "samples": self.samples,
            "baseline_extra_ns": self.baseline_extra_ns,
        }


@dataclass(frozen=True, slots=True)
class Drops:
    """How many turns of a pair were left out: preempted on the first side only, the second only, both, or left with no
    time after the overhead was taken off."""

    turns: int
    kept: int
    first_only: int
    second_only: int
    both: int
    below_overhead: int

    def __str__(self) -> str:
        return (
            f"{self.kept} of {self.turns} turns kept, preempted {self.first_only} on the first side only, "
            f"{self.second_only} on the second only, {self.both} on both, {self.below_overhead} below the overhead"
        )

    def to_json(self) -> dict[str, int]:
        """A plain mapping for certificates."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """The turns of two sides that survive, net of overhead: round int64[m], first_ns and second_ns float64[m].

    `overhead_log` is by how much the overhead's uncertainty can move the log-ratio either way.
    """

    round: Ints
    first_ns: Floats
    second_ns: Floats
    drops: Drops
    overhead_log: float

    @property
    def log_ratio(self) -> Floats:
        """float64[m]: log(first / second); positive where the second side is faster."""
        return np.asarray(np.log(self.first_ns / self.second_ns), dtype=np.float64)


def pair(triples: Triples, second: Side, overhead: Overhead, first: Side = Side.BASELINE) -> Pairs | Refusal:
    """The surviving turns of two sides; warm-up is left out, preempted pairs are dropped whole and counted.

    Refuses when the overhead with its spread exceeds half of a side's median time, or when nothing survives.
    """
    timed = triples.timed()
    flags = timed.preempted()
    hit_first, hit_second = flags[:, first], flags[:, second]
    shell_ns = np.array([overhead.of(first), overhead.of(second)])
    net = timed.time_ns[:, [first, second]] - shell_ns
    clean = ~(hit_first | hit_second)
    keep = clean & np.all(net > 0, axis=1)
    drops = Drops(
        turns=len(clean),
        kept=int(keep.sum()),
        first_only=int((hit_first & ~hit_second).sum()),
        second_only=int((hit_second & ~hit_first).sum()),
        both=int((hit_first & hit_second).sum()),
        below_overhead=int((clean & ~keep).sum()),
    )
    if not clean.any():
        return Refusal(Reason.TOO_FEW_PAIRS, f"no pair of {first.name} and {second.name} survives: {drops}")
    typical = np.median(timed.time_ns[clean][:, [first, second]], axis=0)
    for call_ns, side in zip(typical, (first, second), strict=True):
        if overhead.is_too_large(call_ns, side):
            return Refusal(
                Reason.OVERHEAD_TOO_LARGE,
                f"the shell's overhead of {overhead.of(side):.0f} (spread {overhead.spread_ns:.0f}) ns is more than "
                f"{OVERHEAD_SHARE_LIMIT:.0%} of a call of {call_ns:.0f} ns; time a larger workload",
            )
    net_first, net_second = (float(value) for value in typical - shell_ns)
    moved = overhead.log_error(net_first, net_second)
    return Pairs(timed.round[keep], net[keep, 0], net[keep, 1], drops, moved)
