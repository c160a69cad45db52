"""The engine's own time: wall time that is neither a proposer's, nor the verifier's, nor the caller's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class Stopwatch:
    """Laps of overhead. `clock` returns seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lap_began = clock()
        self._foreign_s = 0.0

    def call(self, work: Callable[[], T]) -> tuple[T, float]:
        """What `work` returns and how long it took; that time is not overhead."""
        began = self._clock()
        value = work()
        seconds = max(0.0, self._clock() - began)
        self._foreign_s += seconds
        return value, seconds

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time inside is the caller's."""
        began = self._clock()
        yield
        self._foreign_s += self._clock() - began

    def lap(self) -> float:
        """Seconds of overhead since the last lap."""
        now = self._clock()
        overhead = max(0.0, now - self._lap_began - self._foreign_s)
        self._lap_began, self._foreign_s = now, 0.0
        return overhead
