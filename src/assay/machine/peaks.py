"""The most that this machine was ever seen to do: bytes per second by cache level, operations per second by type.

A peak is a maximum over many short windows in which no thread was preempted: load, steal and low clocks only lower a
window, so a measured peak is at or below the true one. Peaks of later measurements are merged by taking the larger, so
a cache of peaks only gets better. They hold for one machine identity. What they do not show: what other guests of a
hypervisor leave of shared caches and memory, instructions that were not tried (types that AMX tiles may carry are
marked unbounded), and a higher clock later on; the floor's safety factor is for that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from typing import Any

from assay.core.dtypes import DType

PEAKS_VERSION = 1
"""Version of the JSON layout. History: 1, the first."""


class Level(Enum):
    """Where a working set lies while it is used; ordered from fast to slow."""

    L1 = "L1"
    """First-level data cache."""
    L2 = "L2"
    """Second-level cache."""
    L3 = "L3"
    """Third-level cache."""
    DRAM = "DRAM"
    """Memory: a set larger than every cache."""


class Access(Enum):
    """How a working set is used. `stream` stores are non-temporal: they do not read the line that they overwrite."""

    READ = "read"
    """Loads only."""
    WRITE = "write"
    """Ordinary stores only."""
    WRITE_STREAM = "write-stream"
    """Streaming stores only."""
    COPY = "copy"
    """One load for each store."""
    COPY_STREAM = "copy-stream"
    """One load for each streaming store."""
    ADD = "add"
    """Two loads for each store."""
    ADD_STREAM = "add-stream"
    """Two loads for each streaming store."""


READS = frozenset({Access.READ})
WRITES = frozenset({Access.WRITE, Access.WRITE_STREAM})
ANY_ACCESS = frozenset(Access)


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """Bytes loaded and stored per second, all threads together, over one working set."""

    level: Level
    access: Access
    threads: int
    working_set_bytes: int
    bytes_per_s: float


@dataclass(frozen=True, slots=True)
class Compute:
    """Additions and multiplications per second, all threads together; a fused multiply-add is two."""

    dtype: DType
    threads: int
    operations_per_s: float


@dataclass(frozen=True, slots=True)
class Peaks:
    """Measured peaks of one machine.

    `capacities` are the bytes of each cache level that the usable cores have together, fast to slow; None for a level
    that has no bound (memory) or an unknown one. `unbounded` names the types whose true peak may be above the measured
    one, if there is one, and why: they have no compute floor.
    Raises ValueError when a rate is not positive, or there is no level at all.
    """

    machine_identity: str
    threads: int
    capacities: tuple[tuple[Level, int | None], ...]
    bandwidths: tuple[Bandwidth, ...]
    computes: tuple[Compute, ...]
    unbounded: Mapping[DType, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rates = [b.bytes_per_s for b in self.bandwidths] + [c.operations_per_s for c in self.computes]
        if not self.capacities or not rates or min(rates) <= 0:
            raise ValueError("peaks need at least one level and only positive rates")

    @property
    def levels(self) -> tuple[Level, ...]:
        """The measured levels, fast to slow."""
        return tuple(level for level, _ in self.capacities)

    @property
    def is_complete(self) -> bool:
        """Whether all threads together were measured wherever one was; a busy machine may have let only one run."""
        both = {1, self.threads}
        moved = {(b.level, b.access) for b in self.bandwidths}
        done = {c.dtype for c in self.computes}
        return len(self.bandwidths) + len(self.computes) == len(both) * (len(moved) + len(done))

    def bytes_per_s(self, level: Level, accesses: frozenset[Access] = ANY_ACCESS, threads: int | None = None) -> float:
        """The best rate of any of the accesses at a level, on all threads unless said otherwise.

        For an access that was measured on one thread only, that rate times the threads: no machine scales better.
        Raises KeyError when there is none at all.
        """
        count = self.threads if threads is None else threads
        rates = {
            access: {b.threads: b.bytes_per_s for b in self.bandwidths if b.level is level and b.access is access}
            for access in accesses
        }
        scaled = [rate for each in rates.values() if (rate := _scaled(each, count)) is not None]
        if not scaled:
            raise KeyError(f"no bandwidth for {level.value} on {count} threads")
        return max(scaled)

    def operations_per_s(self, dtype: DType, threads: int | None = None) -> float | None:
        """The compute peak of a type, scaled from one thread like a bandwidth; None when it was not measured."""
        count = self.threads if threads is None else threads
        return _scaled({c.threads: c.operations_per_s for c in self.computes if c.dtype is dtype}, count)

    def merged(self, other: Peaks) -> Peaks:
        """The larger of each rate. Raises ValueError for peaks of another machine or thread count."""
        if (self.machine_identity, self.threads) != (other.machine_identity, other.threads):
            raise ValueError("peaks of different machines cannot be merged")
        moved = {(b.level, b.access, b.threads): b for b in sorted(self.bandwidths + other.bandwidths, key=_rate)}
        done = {(c.dtype, c.threads): c for c in sorted(self.computes + other.computes, key=_rate)}
        return replace(other, bandwidths=tuple(moved.values()), computes=tuple(done.values()))

    def to_json(self) -> dict[str, Any]:
        """A plain mapping for the cache and for certificates."""
        return {
            "version": PEAKS_VERSION,
            "machine_identity": self.machine_identity,
            "threads": self.threads,
            "capacities": [[level.value, size] for level, size in self.capacities],
            "bandwidths": [asdict(b) | {"level": b.level.value, "access": b.access.value} for b in self.bandwidths],
            "computes": [asdict(c) | {"dtype": c.dtype.value} for c in self.computes],
            "unbounded": {dtype.value: why for dtype, why in self.unbounded.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Peaks:
        """The inverse of `to_json`; raises ValueError, KeyError or TypeError for anything else."""
        if data["version"] != PEAKS_VERSION:
            raise ValueError(f"peaks of version {data['version']}, not {PEAKS_VERSION}")
        moved = (b | {"level": Level(b["level"]), "access": Access(b["access"])} for b in data["bandwidths"])
        done = (c | {"dtype": DType(c["dtype"])} for c in data["computes"])
        return cls(
            machine_identity=str(data["machine_identity"]),
            threads=int(data["threads"]),
            capacities=tuple((Level(level), size) for level, size in data["capacities"]),
            bandwidths=tuple(Bandwidth(**b) for b in moved),
            computes=tuple(Compute(**c) for c in done),
            unbounded={DType(key): str(why) for key, why in data["unbounded"].items()},
        )

    def to_bytes(self) -> bytes:
        """JSON text, the content of the cache file."""
        return (json.dumps(self.to_json(), indent=1, sort_keys=True) + "\n").encode()


def _rate(result: Bandwidth | Compute) -> float:
    return result.bytes_per_s if isinstance(result, Bandwidth) else result.operations_per_s


def _scaled(by_threads: Mapping[int, float], threads: int) -> float | None:
    if threads in by_threads:
        return by_threads[threads]
    return by_threads[1] * threads if 1 in by_threads else None
