"""Evolution on islands: groups that breed apart, so that one lucky find does not make everybody its descendant.

Islands take turns by count, so none starves. Every so often each island's best native is copied to the next one in a
ring (Tanese, Distributed genetic algorithms, 1989). Against collapsing into one population: only natives travel, so
nothing goes round the ring; and immigrants hold at most a quarter of an island's places.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from assay.search.protocols import Ask, Kind
from assay.search.strategies.scores import Scores, best_of, fresh_or_repair, from_pairs, pairs

IMMIGRANT_SHARE = 0.25
"""Of an island's places at most; with more, two neighbours soon hold the same population."""

TOURNAMENT = 5
"""The best of five random members becomes a parent. On synthetic landscapes with some hundred ideas to spend, three
left twice the regret (0.20 against 0.11, 12 landscapes)."""


class Evolution:
    """`islands` groups of at most `population`. `crossover` and `fresh` are shares of asks.

    Raises ValueError for sizes below one, a population below two or shares outside 0 and 1.
    """

    name: ClassVar[str] = "evolution"

    def __init__(
        self,
        islands: int = 2,
        population: int = 8,
        crossover: float = 0.3,
        fresh: float = 0.05,
        migrate_every: int = 20,
    ) -> None:
        if islands < 1 or population < 2 or migrate_every < 1 or not (crossover >= 0 <= fresh <= 1 - crossover):
            raise ValueError(f"no such evolution: {islands=} {population=} {crossover=} {fresh=} {migrate_every=}")
        self._options = {
            "islands": islands,
            "population": population,
            "crossover": crossover,
            "fresh": fresh,
            "migrate_every": migrate_every,
        }
        self._population, self._migrate_every = population, migrate_every
        self._crossover, self._fresh = crossover, fresh
        self._scores: Scores = {}
        self._natives: list[list[str]] = [[] for _ in range(islands)]
        self._immigrants: list[list[str]] = [[] for _ in range(islands)]
        self._told = 0

    @property
    def islands(self) -> tuple[frozenset[str], ...]:
        """Who lives where, immigrants included."""
        return tuple(frozenset(self._members(island)) for island in range(len(self._natives)))

    def ask(self, rng: np.random.Generator) -> Ask:
        """See `Strategy`."""
        island = self._told % len(self._natives)
        members = self._members(island)
        passed = best_of(members, len(members))
        draw = rng.random()
        if not passed:
            ask = fresh_or_repair(members)
            return Ask(ask.kind, ask.parents, island)
        if len(self._natives[island]) < 2 or draw < self._fresh:
            return Ask(Kind.FRESH, (), island)
        first = self._parent(passed, rng)
        others = [identity for identity in passed if identity != first]
        if others and draw < self._fresh + self._crossover:
            return Ask(Kind.CROSS, (first, self._parent(others, rng)), island)
        return Ask(Kind.REFINE, (first,), island)

    def tell(self, ask: Ask, identity: str | None, score: float | None) -> None:
        """See `Strategy`."""
        known = identity in self._scores
        if identity is not None:
            self._scores[identity] = score
        if known:
            return
        island = self._told % len(self._natives) if ask.island is None else ask.island
        self._told += 1
        if identity is not None:
            self._natives[island].append(identity)
            self._cull(island)
        if self._told % self._migrate_every == 0:
            self._migrate()

    def to_json(self) -> dict[str, Any]:
        """See `Strategy`."""
        return {
            "name": self.name,
            **self._options,
            "scores": pairs(self._scores),
            "natives": [list(group) for group in self._natives],
            "immigrants": [list(group) for group in self._immigrants],
            "told": self._told,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """See `Strategy`."""
        strategy = cls(
            **{name: data[name] for name in ("islands", "population", "crossover", "fresh", "migrate_every")}
        )
        strategy._scores = from_pairs(data["scores"])
        strategy._natives = [[str(name) for name in group] for group in data["natives"]]
        strategy._immigrants = [[str(name) for name in group] for group in data["immigrants"]]
        strategy._told = int(data["told"])
        return strategy

    def _members(self, island: int) -> Scores:
        return {name: self._scores[name] for name in (*self._natives[island], *self._immigrants[island])}

    def _parent(self, passed: list[str], rng: np.random.Generator) -> str:
        """A tournament on a list that is sorted best first: the smallest index wins."""
        return passed[int(rng.integers(len(passed), size=TOURNAMENT).min())]

    @property
    def _places(self) -> int:
        """For immigrants, on each island."""
        return max(1, int(self._population * IMMIGRANT_SHARE)) if len(self._natives) > 1 else 0

    def _cull(self, island: int) -> None:
        """The worst native leaves, failures first; immigrants keep to their own places."""
        natives = self._natives[island]
        if len(natives) > self._population - self._places:
            scores = {name: self._scores[name] for name in natives}
            natives.remove(min(natives, key=lambda name: -math.inf if (score := scores[name]) is None else score))

    def _migrate(self) -> None:
        """One copy of each island's best native to the next island, where it may push out a worse immigrant."""
        count = len(self._natives)
        if count == 1:
            return
        best = [best_of({name: self._scores[name] for name in natives}, 1) for natives in self._natives]
        for island, travellers in enumerate(best):
            target = (island + 1) % count
            guests = dict.fromkeys((*self._immigrants[target], *travellers))
            self._immigrants[target] = best_of({name: self._scores[name] for name in guests}, self._places)
