"""A search's journal, read for people: every evaluation with when it was done and where its idea came from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.search import Evaluation, Idea


@dataclass(frozen=True, slots=True)
class Tried:
    """One evaluation, with the seconds since the search began and whether it was one of a knockoff."""

    seconds: float
    evaluation: Evaluation
    knockoff: bool

    @property
    def speedup(self) -> float | None:
        """None for what did not pass or was not timed."""
        return None if self.evaluation.score is None else math.exp(self.evaluation.score)


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one proposer brought."""

    proposer: str
    ideas: int
    passed: int
    best: float | None
    tokens: int
    money: float


@dataclass(frozen=True, slots=True)
class Trail:
    """All of a search in order."""

    strategy: str
    origins: Mapping[str, Idea]
    tried: tuple[Tried, ...]

    @property
    def proposers(self) -> list[str]:
        """In the order of their first ideas; a picture's colours go by it."""
        return list(dict.fromkeys(origin.proposer for origin in self.origins.values()))

    def timed(self, proposer: str) -> list[Tried]:
        """Timings of one proposer's ideas, knockoffs left out."""
        return [each for each in self.tried if each.speedup is not None and not each.knockoff
                and self.origins[each.evaluation.identity].proposer == proposer]  # fmt: skip

    def lineage(self, identity: str) -> list[str]:
        """An idea and its ancestors along the best parent each time, the eldest first."""
        found: list[str] = []
        while identity in self.origins and identity not in found:
            found.append(identity)
            identity = self.parent(identity) or ""
        return found[::-1]

    def parent(self, identity: str) -> str | None:
        """The best of an idea's parents; None where it has none that is known."""
        known = [parent for parent in self.origins[identity].parents if parent in self.origins]
        return max(known, key=lambda parent: self.best(parent) or 0.0, default=None)

    def best(self, identity: str) -> float | None:
        """An idea's speedup at the highest fidelity that timed it, which is the last one."""
        timed = [each.speedup for each in self.of(identity) if each.speedup is not None]
        return timed[-1] if timed else None

    def of(self, identity: str) -> list[Tried]:
        """An idea's evaluations, its knockoffs' left out."""
        return [each for each in self.tried if each.evaluation.identity == identity and not each.knockoff]

    def contributions(self) -> list[Contribution]:
        """By proposer, in the order of their first ideas."""
        found = []
        for name in self.proposers:
            own = {identity: origin for identity, origin in self.origins.items() if origin.proposer == name}
            passed = {each.evaluation.identity for each in self.timed(name)}
            speeds = [speed for identity in own if (speed := self.best(identity)) is not None]
            tokens, money = sum(o.tokens for o in own.values()), sum(o.money for o in own.values())
            found.append(Contribution(name, len(own), len(passed), max(speeds, default=None), tokens, money))
        return found


def read_trail(records: Sequence[Mapping[str, Any]]) -> Trail:
    """The trail in a ledger's records."""
    strategy, clock = "", 0.0
    origins: dict[str, Idea] = {}
    tried: list[Tried] = []
    for record in records:
        clock += float(record.get("overhead_s", 0.0))
        if record["kind"] == "start":
            strategy = str(record["strategy"].get("name", ""))
        elif record["kind"] == "idea":
            clock += float(record["seconds"])
            if record["idea"] is not None:
                idea = Idea.from_json(record["idea"])
                origins.setdefault(idea.identity, idea)
        elif record["kind"] == "evaluation":
            clock += float(record["wall_s"])
            evaluation = Evaluation.from_json(record["evaluation"])
            tried.append(Tried(clock, evaluation, record["knockoff_of"] is not None))
    return Trail(strategy, origins, tuple(tried))
