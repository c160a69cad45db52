"""A search's journal, read for people: every evaluation with when it was done and where its idea came from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.search import Idea


@dataclass(frozen=True, slots=True)
class Tried:
    """One evaluation. `seconds` since the search began; `speedup` is None for what did not pass or was not timed."""

    seconds: float
    identity: str
    fidelity: str
    passed: bool
    speedup: float | None
    words: str
    knockoff: bool


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

    def lineage(self, identity: str) -> list[tuple[str, Idea, float | None]]:
        """An idea and its ancestors along the best parent each time, the eldest first, with their best speedups."""
        found: list[tuple[str, Idea, float | None]] = []
        while identity in self.origins and all(identity != one for one, _, _ in found):
            origin = self.origins[identity]
            found.append((identity, origin, self.best(identity)))
            if not origin.parents:
                break
            identity = max(origin.parents, key=lambda parent: self.best(parent) or 0.0)
        return found[::-1]

    def best(self, identity: str) -> float | None:
        """An idea's speedup at the highest fidelity that timed it, which is the last one."""
        timed = [each.speedup for each in self.tried if each.identity == identity and each.speedup is not None]
        return timed[-1] if timed else None

    def contributions(self) -> list[Contribution]:
        """By proposer, in the order of their first ideas."""
        found = []
        for name in dict.fromkeys(origin.proposer for origin in self.origins.values()):
            own = {identity: origin for identity, origin in self.origins.items() if origin.proposer == name}
            passed = {each.identity for each in self.tried if each.speedup is not None and not each.knockoff} & set(own)
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
            tried.append(_tried(record, clock))
    return Trail(strategy, origins, tuple(tried))


def _tried(record: Mapping[str, Any], seconds: float) -> Tried:
    found, score = record["evaluation"], record["evaluation"]["score"]
    speedup = math.exp(score) if isinstance(score, (int, float)) else None
    return Tried(
        seconds, str(found["identity"]), str(found["fidelity"]), bool(found["passed"]), speedup, str(found["words"]),
        record["knockoff_of"] is not None,
    )  # fmt: skip
