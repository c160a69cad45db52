"""How a judgement is carried out: one frozen object, parsed once, passed down, and written into the certificate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import Enum
from typing import Any


class Depth(Enum):
    """How much a judgement may conclude."""

    FULL = "full"
    """Every family and boundary shape, enough fresh processes for a claim about speed."""
    SCREEN = "screen"
    """A quick look for searches: it can reject, it never accepts."""


@dataclass(frozen=True, slots=True)
class JudgeConfig:
    """Settings of one judgement.

    Args:
        depth: full or screening.
        budget_s: seconds of measuring, start-up and build not included.
        threads: threads granted to both sides; 0 stands for all usable cores.
        memory_bytes: address space of a worker beyond the interpreter's own; 0 stands for half the machine's memory.
        baseline: "best" of what works here, or one variant's name.
        call_timeout_s: the least time that one call is granted; more for slow references.

    Raises ValueError for settings that no run can honour.
    """

    depth: Depth = Depth.FULL
    budget_s: float = 12.0
    threads: int = 0
    memory_bytes: int = 0
    baseline: str = "best"
    call_timeout_s: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.budget_s <= 3600 or not 0 < self.call_timeout_s <= 3600:
            raise ValueError("budget and timeout must be between 0 and 3600 seconds")
        if self.threads < 0 or self.memory_bytes < 0:
            raise ValueError("threads and memory cannot be negative")

    def to_json(self) -> dict[str, Any]:
        """A plain mapping for certificates."""
        return asdict(self) | {"depth": self.depth.value}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> JudgeConfig:
        """The inverse of `to_json`."""
        known = {f.name: data[f.name] for f in fields(cls) if f.name in data}
        return cls(**(known | {"depth": Depth(data["depth"])}))
