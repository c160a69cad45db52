"""The physical floor: a time that no kernel on this machine can be below.

What a floor proves: a correct kernel that moves these bytes and does these operations cannot finish in less. A time
below it is therefore IMPOSSIBLE: the work was not done, or not within the time shown.
What it does not prove: passing it means nothing. A floor is only as good as the claim that the work is *necessary*; the
caller must count what no algorithm can avoid. Bytes: each input byte on which the output depends, once, and each output
byte, once; not what a gather skips, nor what a sparse or constant result allows to leave out. Operations: Strassen,
Winograd and Fourier transforms need fewer than the textbook count, so pass the textbook count only where they are ruled
out. A page of zeros that the kernel makes by unmapping is not counted either: the referee must forbid that.

Every choice leans to the low side: all threads; the fastest access; each cache level holding as much as it can, reads
and writes overlapping perfectly with each other and with arithmetic, types on separate units; and `SAFETY` on top.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from assay.core.dtypes import DType
from assay.machine.peaks import ANY_ACCESS, READS, WRITES, Access, Level, Peaks

SAFETY = 2.0
"""Floors are divided by this. The machine may be faster later than when its peaks were taken: absolute speed drifted
1.6x within an hour on a cloud Xeon, turbo over base clock is 1.2-1.5x on servers, and repeated
measurements of one peak differ by 1.1-1.4x. Published cheats were 10-100x below the floor."""


class Bound(Enum):
    """What sets a floor."""

    MEMORY = "memory"
    """Bytes that must be read or written."""
    COMPUTE = "compute"
    """Operations that must be done."""
    NOTHING = "nothing"
    """No bytes and no operation with a known peak: every time is possible."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a task cannot avoid: bytes read, bytes written, additions and multiplications by type.

    The type is the narrowest that the task's contract allows to compute in, not the one that its tensors have.
    Raises ValueError for negative amounts.
    """

    read_bytes: int
    write_bytes: int
    flops: Mapping[DType, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if min([self.read_bytes, self.write_bytes, *self.flops.values()]) < 0:
            raise ValueError("work cannot be negative")

    @property
    def total_bytes(self) -> int:
        """Bytes read and written."""
        return self.read_bytes + self.write_bytes

    @property
    def total_flops(self) -> float:
        """Operations of all types."""
        return sum(self.flops.values())

    def to_json(self) -> dict[str, Any]:
        """A plain mapping for certificates."""
        flops = {dtype.value: count for dtype, count in self.flops.items()}
        return {"read_bytes": self.read_bytes, "write_bytes": self.write_bytes, "flops": flops}


@dataclass(frozen=True, slots=True)
class FloorEstimate:
    """The floor and how it came about. `inputs` has the work, the rates used and the safety factor, as JSON."""

    min_ns: float
    bound: Bound
    explanation: str
    inputs: Mapping[str, Any]

    def is_impossible(self, time_ns: float) -> bool:
        """Whether a measured time is below the floor."""
        return time_ns < self.min_ns

    def to_json(self) -> dict[str, Any]:
        """A plain mapping for certificates."""
        return {
            "min_ns": self.min_ns,
            "bound": self.bound.value,
            "explanation": self.explanation,
            "inputs": dict(self.inputs),
        }


@dataclass(frozen=True, slots=True)
class RooflinePoint:
    """Where a measured time lies under the roofline (Williams, Waterman, Patterson, CACM 52(4), 2009).

    Rates are the necessary work over the time, so a kernel that moves more than it must shows less than it moves.
    Fractions are of measured peaks without the safety factor, memory at the level that the work's bytes fit in: above 1
    is a doubtful time (or luck of a higher clock), not an achievement. `intensity` is operations per byte, `ridge` the
    intensity at which both roofs meet, None where a peak is unknown or no bytes move.
    """

    bytes_per_s: float
    flops_per_s: float
    level: Level
    memory_fraction: float
    compute_fraction: float | None
    intensity: float | None
    ridge: float | None


def estimate_floor(work: Work, peaks: Peaks, safety: float = SAFETY) -> FloorEstimate:
    """The floor of some work on a machine. Raises ValueError for a safety factor below 1."""
    if safety < 1:
        raise ValueError(f"a safety factor below 1 would condemn honest kernels: {safety}")
    candidates = [
        _memory_floor(work.read_bytes, READS, "reading", peaks),
        _memory_floor(work.write_bytes, WRITES, "writing", peaks),
        _memory_floor(work.total_bytes, ANY_ACCESS, "reading and writing", peaks),
        *(_compute_floor(dtype, count, peaks) for dtype, count in work.flops.items()),
    ]
    seconds, bound, explanation = max(candidates, key=lambda candidate: candidate[0])
    if seconds == 0:
        bound, explanation = Bound.NOTHING, "there is no necessary work with a known peak"
    else:
        explanation += f", divided by a safety factor of {safety:g}"
    inputs = {
        "work": work.to_json(),
        "safety": safety,
        "threads": peaks.threads,
        "machine_identity": peaks.machine_identity,
        "floors": [{"min_ns": 1e9 * s / safety, "of": text} for s, _, text in candidates if s > 0],
    }
    return FloorEstimate(1e9 * seconds / safety, bound, explanation, inputs)


def place_on_roofline(work: Work, time_ns: float, peaks: Peaks) -> RooflinePoint:
    """Achieved rates as fractions of peaks, for reports. Raises ValueError unless the time is positive."""
    if not time_ns > 0:
        raise ValueError(f"a time must be positive: {time_ns} ns")
    level = home_level(work.total_bytes, peaks)
    roof_bytes = peaks.bytes_per_s(level)
    main = max(work.flops, key=lambda dtype: work.flops[dtype], default=None)
    roof_flops = None if main is None else peaks.operations_per_s(main)
    bytes_per_s, flops_per_s = work.total_bytes / time_ns * 1e9, work.total_flops / time_ns * 1e9
    return RooflinePoint(
        bytes_per_s=bytes_per_s,
        flops_per_s=flops_per_s,
        level=level,
        memory_fraction=bytes_per_s / roof_bytes,
        compute_fraction=None if roof_flops is None else flops_per_s / roof_flops,
        intensity=None if work.total_bytes == 0 else work.total_flops / work.total_bytes,
        ridge=None if roof_flops is None else roof_flops / roof_bytes,
    )


def home_level(working_set_bytes: int, peaks: Peaks) -> Level:
    """The fastest level that can hold a working set; the slowest measured one when none can."""
    for level, capacity in peaks.capacities:
        if capacity is None or working_set_bytes <= capacity:
            return level
    return peaks.levels[-1]


def _memory_floor(count: int, accesses: frozenset[Access], verb: str, peaks: Peaks) -> tuple[float, Bound, str]:
    """Seconds to move some bytes.

    Whatever does not fit the faster levels together must come from this level or a slower one, at no more than the best
    rate of those; the floor is the largest of these bounds. Capacities add up, as in exclusive caches, and traffic of
    different levels overlaps: both keep the floor low.
    """
    seconds, text = 0.0, ""
    faster_bytes = 0
    for index, (level, capacity) in enumerate(peaks.capacities):
        rate = max(peaks.bytes_per_s(slower, accesses) for slower in peaks.levels[index:])
        rest = count - faster_bytes
        if rest > 0 and rest / rate > seconds:
            seconds = rest / rate
            text = f"{verb} {rest} of {count} bytes at {level.value}'s {rate / 1e9:.3g} GB/s on {peaks.threads} threads"
        if capacity is None:
            break
        faster_bytes += capacity
    return seconds, Bound.MEMORY, text


def _compute_floor(dtype: DType, count: float, peaks: Peaks) -> tuple[float, Bound, str]:
    """Seconds for some operations: at the best rate of this type or a wider one, for a kernel may compute in either.

    0 for a type whose peak is unknown or unbounded.
    """
    rate = peaks.operations_per_s(dtype)
    if dtype in peaks.unbounded or (rate is None and not dtype.is_floating):
        return 0.0, Bound.COMPUTE, ""
    wider = [each for each in DType if each.is_floating and each.size_bytes >= dtype.size_bytes]
    best = max([rate or 0.0, *(peaks.operations_per_s(each) or 0.0 for each in wider)])
    if best == 0:
        return 0.0, Bound.COMPUTE, ""
    return count / best, Bound.COMPUTE, f"{count:.3g} {dtype.value} operations at {best / 1e9:.4g} Gop/s"
