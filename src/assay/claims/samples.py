"""Raw samples of a judgement of models: every timed call of both, every peak of memory, as they came in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from assay.claims.settings import Cost
from assay.referee.timing.samples import PREEMPTED_FLOOR_NS, PREEMPTED_SHARE, WAKE_UP_NS, WAKE_UP_SHARE, Bools, Floats

TIMED = (Cost.LATENCY, Cost.THROUGHPUT, Cost.TRAINING)
"""The costs that are times of calls."""


@dataclass(frozen=True, slots=True)
class TimedPair:
    """Both models on the same inputs, one after the other; pairs of numbers are (dense, cheap), in nanoseconds.

    `null_ns` is (wall, CPU) of the null call in that turn; zeros where none was made.
    """

    cost: Cost
    round: int
    wall_ns: tuple[int, int]
    cpu_ns: tuple[int, int]
    preempted_ns: tuple[int, int]
    null_ns: tuple[int, int] = (0, 0)


@dataclass(slots=True)
class Samples:
    """What was measured. `peaks` are bytes of (dense, cheap) in each round, `sizes` bytes of each seed's weights."""

    pairs: list[TimedPair] = field(default_factory=list)
    peaks: list[tuple[int, int]] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)

    def of(self, cost: Cost) -> list[TimedPair]:
        """The pairs of a kind of call."""
        return [pair for pair in self.pairs if pair.cost is cost]

    def to_json(self) -> dict[str, Any]:
        """Column by column, in the order in which they were taken."""
        columns = {name: [list(getattr(pair, name)) for pair in self.pairs]
                   for name in ("wall_ns", "cpu_ns", "preempted_ns", "null_ns")}  # fmt: skip
        return {
            "cost": [pair.cost.value for pair in self.pairs], "round": [pair.round for pair in self.pairs], **columns,
            "peak_bytes": [list(pair) for pair in self.peaks], "weights_bytes": [list(pair) for pair in self.sizes],
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Samples:
        """The inverse of `to_json`; raises ValueError, KeyError or TypeError for anything else."""
        names = ("cost", "round", "wall_ns", "cpu_ns", "preempted_ns")
        nulls = data.get("null_ns") or [(0, 0)] * len(data["cost"])  # certificates of version 1 have none
        columns = zip(*(data[name] for name in names), nulls, strict=True)
        pairs = [TimedPair(Cost(cost), int(number), _two(wall), _two(cpu), _two(late), _two(null))
                 for cost, number, wall, cpu, late, null in columns]  # fmt: skip
        return cls(pairs, [_two(pair) for pair in data["peak_bytes"]], [_two(pair) for pair in data["weights_bytes"]])


def unhindered(pairs: Iterable[TimedPair]) -> Bools:
    """bool[m]: in which pairs neither side waited for a core beyond what the referee grants to kernels' calls."""
    found = list(pairs)
    wall: Floats = np.array([pair.wall_ns for pair in found], dtype=np.float64).reshape(-1, 2)
    late: Floats = np.array([pair.preempted_ns for pair in found], dtype=np.float64).reshape(-1, 2)
    wake_up = np.minimum(WAKE_UP_SHARE * wall, WAKE_UP_NS)
    limit = np.maximum(np.maximum(PREEMPTED_FLOOR_NS, wake_up), PREEMPTED_SHARE * wall)
    return np.asarray((late <= limit).all(axis=1), dtype=np.bool_)


def _two(value: Any) -> tuple[int, int]:
    first, second = value
    if not all(isinstance(each, int) and each >= 0 for each in (first, second)):
        raise ValueError(f"a sample is {value!r}"[:100])
    return first, second
