"""What both models cost, and the ratio (cheap over dense) with its interval over fresh processes.

A time is the kernel's account of the model's process, read by the judge while that process is stopped: with one thread
its CPU time, which neither a sleeping thread nor a busy machine moves; with more threads wall time, without the pairs
in which a side had to wait for a core. What a call costs the judge itself, to wake a process and hear its answer, is
measured by null calls in the same turns and taken off both sides, as for kernels; what is unknown about it widens the
interval. The interval is the referee's own (assay.referee.timing.statistics): a round of fresh processes is reduced to
the median of its paired log-ratios.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from assay.claims.samples import TIMED, Samples, TimedPair, unhindered
from assay.claims.settings import ClaimSettings, Cost
from assay.referee.timing.pairing import FEWEST_NULL_CALLS, Overhead
from assay.referee.timing.statistics import interval, round_medians

_FEWEST_TURNS, _FEWEST_ROUNDS = 2, 3
LEAST_PEAK_BYTES = 1 << 20
"""A model that takes less than 1 MiB hides in what an empty process has left over."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """Cheap over dense, below 1 where it is cheaper, with its 95 % interval."""

    ratio: float
    lower: float
    upper: float
    rounds: int

    def to_json(self) -> dict[str, Any]:
        """A plain mapping for certificates."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Compared:
    """One cost: what it typically is (nanoseconds or bytes) for both models; None with a reason where not known.

    `clock` says what was read; `wall` is the ratio of wall times beside one of CPU times. `overhead` is what was taken
    off both times, in nanoseconds; None where nothing was.
    """

    cost: Cost
    clock: str
    dense: float | None = None
    cheap: float | None = None
    ratio: Ratio | None = None
    wall: Ratio | None = None
    overhead: float | None = None
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """A plain mapping for certificates."""
        return {
            "clock": self.clock, "dense": self.dense, "cheap": self.cheap,
            "ratio": self.ratio.to_json() if self.ratio else None,
            "wall": self.wall.to_json() if self.wall else None, "overhead": self.overhead, "reason": self.reason,
        }  # fmt: skip


def compare_costs(samples: Samples, settings: ClaimSettings, absent: dict[Cost, str]) -> dict[Cost, Compared]:
    """Every cost; `absent` says why one was not measured."""
    found = {cost: _times(samples.of(cost), cost, settings.threads) for cost in TIMED}
    found |= {Cost.MEMORY: _peaks(samples.peaks), Cost.SIZE: _sizes(samples.sizes)}
    return {cost: Compared(cost, each.clock, reason=absent[cost]) if cost in absent else each
            for cost, each in found.items()}  # fmt: skip


def _times(pairs: Sequence[TimedPair], cost: Cost, threads: int) -> Compared:
    clock = "CPU time" if threads == 1 else "wall time"
    if not pairs:
        return Compared(cost, clock, reason="no call was timed")
    quiet = [pair for pair, free in zip(pairs, unhindered(pairs), strict=True) if free]
    wall = _Net.of([(pair.round, pair.wall_ns, pair.null_ns[0]) for pair in quiet])
    chosen = _Net.of([(pair.round, pair.cpu_ns, pair.null_ns[1]) for pair in pairs]) if threads == 1 else wall
    ratio = chosen.ratio()
    if ratio is None:
        why = (
            f"fewer than {_FEWEST_ROUNDS} rounds have {_FEWEST_TURNS} turns on inputs that were new to their processes"
        )
        why += "" if threads == 1 else ", in which no side waited for a core"
        return Compared(cost, clock, reason=why)
    overhead = chosen.overhead.median_ns if chosen.overhead.samples else None
    return Compared(cost, clock, *chosen.typical, ratio, wall.ratio() if threads == 1 else None, overhead)


@dataclass(frozen=True, slots=True)
class _Net:
    """Times of (dense, cheap) by the number of their round, without the judge's own part."""

    times: list[tuple[int, tuple[float, float]]]
    typical: tuple[float, float]
    overhead: Overhead

    @classmethod
    def of(cls, calls: Sequence[tuple[int, tuple[int, int], int]]) -> _Net:
        """From round, times and the null call of every turn.

        Nothing is taken off where too few null calls were made, or where a call is not twice as long: the ratio is
        then nearer to 1 than it should be, but no matter of chance.
        """
        nulls = [null for _, _, null in calls if null]
        overhead = Overhead.from_null_calls(nulls) if len(nulls) >= FEWEST_NULL_CALLS else Overhead.none()
        typical = [float(np.median([times[side] for _, times, _ in calls])) if calls else 0.0 for side in (0, 1)]
        if overhead.is_too_large(min(typical)):
            overhead = Overhead.none()
        own = overhead.median_ns
        times = [(number, (dense - own, cheap - own)) for number, (dense, cheap), _ in calls if min(dense, cheap) > own]
        return cls(times, (typical[0] - own, typical[1] - own), overhead)

    def ratio(self) -> Ratio | None:
        """With what is unknown about the overhead in its interval."""
        found = _ratio_of(self.times)
        if found is None:
            return None
        moved = math.exp(self.overhead.log_error(*self.typical))
        return Ratio(found.ratio, found.lower / moved, found.upper * moved, found.rounds)


def _peaks(peaks: Sequence[tuple[int, int]]) -> Compared:
    if not peaks:
        return Compared(Cost.MEMORY, "peak memory", reason="no process came so far")
    dense, cheap = (float(np.median([pair[side] for pair in peaks])) for side in (0, 1))
    if min(map(min, peaks)) < LEAST_PEAK_BYTES:
        why = "a process took less than 1 MiB beyond an empty one, which cannot be told apart"
        return Compared(Cost.MEMORY, "peak memory", dense, cheap, reason=why)
    ratio = _from_logs([math.log(pair[1] / pair[0]) for pair in peaks])
    return Compared(Cost.MEMORY, "peak memory", dense, cheap, ratio)


def _sizes(sizes: Sequence[tuple[int, int]]) -> Compared:
    """Known exactly: the interval is the range over seeds."""
    if not sizes:
        return Compared(Cost.SIZE, "file size", reason="no weights were read")
    ratios = [cheap / dense for dense, cheap in sizes]
    dense, cheap = (float(np.median([pair[side] for pair in sizes])) for side in (0, 1))
    ratio = Ratio(float(np.median(ratios)), min(ratios), max(ratios), len(ratios))
    return Compared(Cost.SIZE, "file size", dense, cheap, ratio)


def _ratio_of(times: Sequence[tuple[int, tuple[float, float]]]) -> Ratio | None:
    if not times:
        return None
    rounds, ratios = np.array([number for number, _ in times]), np.log([cheap / dense for _, (dense, cheap) in times])
    return _from_logs(list(round_medians(rounds, ratios, _FEWEST_TURNS)))


def _from_logs(medians: Sequence[float]) -> Ratio | None:
    if len(medians) < _FEWEST_ROUNDS:
        return None
    found = interval(medians)
    return Ratio(found.ratio, found.lower_ratio, found.upper_ratio, len(medians))
