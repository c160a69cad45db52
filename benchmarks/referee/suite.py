"""What a suite is: a name, what it needs, and a function that adds results to a record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from benchmarks.referee.results import Record

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Context:
    """How a run was asked for. `quick` proves that everything works and means nothing as a figure."""

    quick: bool = False

    def pick(self, full: T, quick: T) -> T:
        """The size of a suite."""
        return quick if self.quick else full

    def some(self, items: Sequence[T], count: int) -> list[T]:
        """All items, or in a quick run a few spread over them."""
        if not self.quick or len(items) <= count:
            return list(items)
        return [items[index * len(items) // count] for index in range(count)]


@dataclass(frozen=True, slots=True)
class Suite:
    """`settings` go into the record; `minutes` is a rough cost on a quiet 2-core machine."""

    name: str
    run: Callable[[Context, Record], None]
    minutes: float
    settings: dict[str, Any] = field(default_factory=dict)
