"""Sequential revision: refine the best so far, again and again. Greedy, cheap, and stuck in the first valley."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from assay.search.protocols import Ask, Kind
from assay.search.strategies.scores import Scores, best_of, fresh_or_repair, from_pairs, pairs


class Sequential:
    """Starts from `starts` fresh ideas that passed. Raises ValueError for fewer than one."""

    name: ClassVar[str] = "sequential"

    def __init__(self, starts: int = 1) -> None:
        if starts < 1:
            raise ValueError(f"revision needs something to start from: {starts}")
        self._starts = starts
        self._scores: Scores = {}

    def ask(self, rng: np.random.Generator) -> Ask:
        """See `Strategy`."""
        passed = sum(score is not None for score in self._scores.values())
        if passed == 0:
            return fresh_or_repair(self._scores)
        if passed < self._starts:
            return Ask(Kind.FRESH)
        return Ask(Kind.REFINE, tuple(best_of(self._scores, 1)))

    def tell(self, ask: Ask, identity: str | None, score: float | None) -> None:
        """See `Strategy`."""
        if identity is not None:
            self._scores[identity] = score

    def to_json(self) -> dict[str, Any]:
        """See `Strategy`."""
        return {"name": self.name, "starts": self._starts, "scores": pairs(self._scores)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """See `Strategy`."""
        strategy = cls(int(data["starts"]))
        strategy._scores = from_pairs(data["scores"])
        return strategy
