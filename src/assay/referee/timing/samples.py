"""The timed samples of one measurement, as they came in.

One round is three fresh processes: the baseline, the baseline once more (for A/A), the candidate. One turn times all
three on the same fresh input, in random order. Nothing is dropped here; `pairing` says what is left out and why.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

PREEMPTED_FLOOR_NS = 100_000.0
"""Run-queue delay that a wake-up may always cost: 9 us for one thread on the referee's core; 30 to 45, at times 90, for
two, one of which waits for an idle core to come back from its halt. A preemption lasts a slice, 0.7 to 8 ms."""

WAKE_UP_SHARE, WAKE_UP_NS = 0.10, 250_000.0
"""Threads that wake each other within a call add to that: so much more is granted, up to this share of a call."""

PREEMPTED_SHARE = 0.01
"""Run-queue delay, as a share of the call's wall time, that is granted to long calls."""


class Side(IntEnum):
    """Who ran in a triple; the value is the column in the arrays of `Triples`."""

    BASELINE = 0
    """A: what the candidate has to beat."""
    BASELINE_AGAIN = 1
    """A': the same code in another process; A against A' shows what this run could fake."""
    CANDIDATE = 2
    """B."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One timed call. `preempted_ns` is the scheduler's run-queue delay charged to the worker within the call."""

    round: int
    turn: int
    side: Side
    wall_ns: int
    cpu_ns: int
    preempted_ns: int
    warm_up: bool = False
    device_ns: int = 0
    """The device's own clock, 0 where nothing ran on one."""


@dataclass(frozen=True, slots=True, eq=False)
class Triples:
    """Every turn of a measurement as arrays; a row is a turn, columns follow `Side`.

    Shapes: round int64[m], warm_up bool[m]; wall_ns, cpu_ns, preempted_ns, device_ns float64[m, 3]. Raises ValueError
    for unequal lengths, for times that are not finite or not positive, and for device times of some calls only.
    """

    round: Ints
    warm_up: Bools
    wall_ns: Floats
    cpu_ns: Floats
    preempted_ns: Floats
    device_ns: Floats

    def __post_init__(self) -> None:
        turns = self.round.shape[0]
        for name in ("wall_ns", "cpu_ns", "preempted_ns", "device_ns"):
            array = getattr(self, name)
            if array.shape != (turns, 3):
                raise ValueError(f"{name} has shape {array.shape}, expected ({turns}, 3)")
            if not np.all(np.isfinite(array)) or np.any(array < 0):
                raise ValueError(f"{name} holds a value that is negative or not finite")
        if self.warm_up.shape != (turns,) or np.any(self.wall_ns == 0):
            raise ValueError("warm_up must have one flag per turn, and no wall time may be zero")
        if np.any(self.device_ns == 0) and np.any(self.device_ns > 0):
            raise ValueError("some calls have a device's time and others have none")

    @property
    def time_ns(self) -> Floats:
        """float64[m, 3]: the clock that decides, which is the device's where there is one."""
        return self.device_ns if np.any(self.device_ns > 0) else self.wall_ns

    @classmethod
    def from_arrays(
        cls,
        round: ArrayLike,
        wall_ns: ArrayLike,
        cpu_ns: ArrayLike | None = None,
        preempted_ns: ArrayLike | None = None,
        warm_up: ArrayLike | None = None,
        device_ns: ArrayLike | None = None,
    ) -> Triples:
        """Arrays of any numeric type; without them cpu_ns equals wall_ns, and nothing was preempted, is warm-up or ran
        on a device."""
        rounds = np.asarray(round, dtype=np.int64)
        wall = np.asarray(wall_ns, dtype=np.float64)
        return cls(
            rounds,
            np.zeros(rounds.shape, dtype=np.bool_) if warm_up is None else np.asarray(warm_up, dtype=np.bool_),
            wall,
            wall if cpu_ns is None else np.asarray(cpu_ns, dtype=np.float64),
            np.zeros_like(wall) if preempted_ns is None else np.asarray(preempted_ns, dtype=np.float64),
            np.zeros_like(wall) if device_ns is None else np.asarray(device_ns, dtype=np.float64),
        )

    @classmethod
    def from_samples(cls, samples: Iterable[Sample]) -> Triples:
        """Samples in any order; raises ValueError for a turn that lacks a side, repeats one, or is half warm-up."""
        turns: dict[tuple[int, int], dict[Side, Sample]] = {}
        for sample in samples:
            sides = turns.setdefault((sample.round, sample.turn), {})
            if sample.side in sides:
                raise ValueError(f"round {sample.round} turn {sample.turn} has {sample.side.name} twice")
            sides[sample.side] = sample
        for (number, turn), sides in turns.items():
            if len(sides) != len(Side) or len({sample.warm_up for sample in sides.values()}) != 1:
                raise ValueError(f"round {number} turn {turn} is not one complete triple: {sorted(sides)}")
        rows = [[turns[key][side] for side in Side] for key in sorted(turns)]
        return cls.from_arrays(
            [row[0].round for row in rows],
            np.array([[sample.wall_ns for sample in row] for row in rows], dtype=np.float64).reshape(-1, 3),
            np.array([[sample.cpu_ns for sample in row] for row in rows], dtype=np.float64).reshape(-1, 3),
            np.array([[sample.preempted_ns for sample in row] for row in rows], dtype=np.float64).reshape(-1, 3),
            [row[0].warm_up for row in rows],
            np.array([[sample.device_ns for sample in row] for row in rows], dtype=np.float64).reshape(-1, 3),
        )

    def timed(self) -> Triples:
        """The turns that are not warm-up."""
        keep = ~self.warm_up
        return Triples(
            self.round[keep], self.warm_up[keep], self.wall_ns[keep], self.cpu_ns[keep], self.preempted_ns[keep],
            self.device_ns[keep],
        )  # fmt: skip

    def preempted(self) -> Bools:
        """bool[m, 3]: which calls waited on the run queue beyond the rule above."""
        wake_up = np.minimum(WAKE_UP_SHARE * self.wall_ns, WAKE_UP_NS)
        limit = np.maximum(np.maximum(PREEMPTED_FLOOR_NS, wake_up), PREEMPTED_SHARE * self.wall_ns)
        return np.asarray(self.preempted_ns > limit, dtype=np.bool_)
