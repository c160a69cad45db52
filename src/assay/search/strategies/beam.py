"""Beam search: keep the best few, refine each of them a fixed number of times, keep the best few of all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from assay.search.protocols import Ask, Kind
from assay.search.strategies.scores import Scores, best_of, fresh_or_repair, from_pairs, pairs


class Beam:
    """`width` survivors, `branch` children each; the first generation is `width * branch` fresh ideas.

    What passed stays in the beam until something better pushes it out. Raises ValueError for sizes below one.
    """

    name: ClassVar[str] = "beam"

    def __init__(self, width: int = 4, branch: int = 3) -> None:
        if width < 1 or branch < 1:
            raise ValueError(f"a beam needs a width and a branch of at least one: {width}, {branch}")
        self._width = width
        self._branch = branch
        self._beam: list[str] = []
        self._children: list[str] = []
        self._scores: Scores = {}
        self._tried = 0

    def ask(self, rng: np.random.Generator) -> Ask:
        """See `Strategy`: the members of the beam take turns."""
        if self._beam:
            return Ask(Kind.REFINE, (self._beam[self._tried % len(self._beam)],))
        if self._tried < self._width * self._branch:
            return Ask(Kind.FRESH)
        return fresh_or_repair(self._scores)

    def tell(self, ask: Ask, identity: str | None, score: float | None) -> None:
        """See `Strategy`; an empty answer uses up a place too."""
        known = identity in self._scores
        if identity is not None:
            self._scores[identity] = score
        if known:
            return
        self._tried += 1
        self._children += [] if identity is None else [identity]
        size = len(self._beam) or self._width
        rivals = {name: self._scores[name] for name in (*self._beam, *self._children)}
        if self._tried >= size * self._branch and (best := best_of(rivals, self._width)):
            self._beam, self._children, self._tried = best, [], 0

    def to_json(self) -> dict[str, Any]:
        """See `Strategy`."""
        return {
            "name": self.name,
            "width": self._width,
            "branch": self._branch,
            "beam": list(self._beam),
            "children": list(self._children),
            "scores": pairs(self._scores),
            "tried": self._tried,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """See `Strategy`."""
        strategy = cls(int(data["width"]), int(data["branch"]))
        strategy._beam = [str(identity) for identity in data["beam"]]
        strategy._children = [str(identity) for identity in data["children"]]
        strategy._scores = from_pairs(data["scores"])
        strategy._tried = int(data["tried"])
        return strategy
