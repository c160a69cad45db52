"""What this machine is: processor, memory, kernel, tools and present load; `survey` reads it.

Each unknown is None, and `unknown` says why. `MachineFacts.identity` covers what decides performance and leaves out
what changes by the minute (load, pressure, available memory). It does not tell two machines of one type apart, nor
what a hypervisor's other guests are doing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from assay.core.identity import identity

_TRANSIENT = ("memory_available_bytes", "load_average", "cpu_pressure", "unknown")
"""Fields that say how the machine is, not what it is."""

_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Cache:
    """One cache that core 0 sees: level, `data` or `unified`, size, and how many usable cores share one instance."""

    level: int
    kind: str
    size_bytes: int
    shared_by: int


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """One machine at one moment. Raises ValueError for a None that `unknown` does not explain.

    `cores` is the number of processors that this process may run on; `cpu_quota` how many of them a cgroup lets it use
    at a time (None without a quota, explained by "no quota"). Memory is bounded by cgroups. `load_average` is over
    1 minute; `cpu_pressure` the share, 0 to 1, of the last 10 s in which some task waited for a core.
    """

    machine: str
    cpu_model: str | None
    isa: tuple[str, ...]
    cores: int
    cpu_quota: float | None
    memory_total_bytes: int | None
    memory_available_bytes: int | None
    caches: tuple[Cache, ...] | None
    kernel: str
    hypervisor: str | None
    container: str | None
    huge_pages: str | None
    glibc: str | None
    python: str
    torch: str | None
    gxx: str | None
    load_average: float | None
    cpu_pressure: float | None
    unknown: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for each in dataclasses.fields(self):
            if getattr(self, each.name) is None and each.name not in self.unknown:
                raise ValueError(f"machine fact {each.name!r} is None without a reason")

    @property
    def identity(self) -> str:
        """sha256 over what decides performance; memory counts in whole GiB, since a boot changes its last kilobytes."""
        data = {key: value for key, value in self.to_json().items() if key not in _TRANSIENT}
        if self.memory_total_bytes is not None:
            data["memory_total_bytes"] = round(self.memory_total_bytes / _GIB) * _GIB
        return identity(data)

    def cache_bytes(self, level: int) -> int | None:
        """Bytes of all data caches of a level that the usable cores reach together; None when unknown."""
        found = [c.size_bytes * -(-self.cores // c.shared_by) for c in self.caches or () if c.level == level]
        return found[0] if found else None

    def to_json(self) -> dict[str, Any]:
        """A plain mapping for certificates."""
        data = dataclasses.asdict(self)
        data["isa"] = list(self.isa)
        data["caches"] = None if self.caches is None else [dataclasses.asdict(cache) for cache in self.caches]
        data["unknown"] = dict(self.unknown)
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> MachineFacts:
        """The inverse of `to_json`."""
        caches = None if data["caches"] is None else tuple(Cache(**cache) for cache in data["caches"])
        return cls(**{**data, "isa": tuple(data["isa"]), "caches": caches, "unknown": dict(data["unknown"])})
