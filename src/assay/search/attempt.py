"""What a search handles: an idea, and what it was found to be worth at some fidelity."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from assay.core.sources import Candidate


class Fidelity(IntEnum):
    """How much an evaluation may spend, hence how far it can be trusted; higher decides over lower."""

    BUILD = 0
    """It compiles and loads. No score: nothing was timed."""
    SCREEN = 1
    """A cheap check of results and a first time; scores may be off by tens of per cent."""
    SHORT = 2
    """All checks, few rounds; good enough to rank, not to claim."""
    FULL = 3
    """All checks, the rounds of a real judgement; only this makes a finalist. Still no verdict: the referee's alone."""


@dataclass(frozen=True, slots=True)
class Idea:
    """A candidate with where it came from and what proposing it cost.

    `parents` are identities of the candidates that it was made from, `note` is the proposer's reason in words, `tokens`
    and `money` what a language model charged (0 where none was asked). Raises ValueError for negative costs.
    """

    candidate: Candidate
    proposer: str
    parents: tuple[str, ...] = ()
    note: str = ""
    tokens: int = 0
    money: float = 0.0

    def __post_init__(self) -> None:
        _require_costs(self.tokens, self.money)

    @property
    def identity(self) -> str:
        """The candidate's: who proposed it does not matter."""
        return self.candidate.identity

    def to_json(self) -> dict[str, Any]:
        """A plain mapping for the ledger."""
        return {
            "candidate": self.candidate.to_json(),
            "proposer": self.proposer,
            "parents": list(self.parents),
            "note": self.note,
            "tokens": self.tokens,
            "money": self.money,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Idea:
        """The inverse of `to_json`."""
        return cls(
            candidate=Candidate.from_json(data["candidate"]),
            proposer=str(data["proposer"]),
            parents=tuple(data["parents"]),
            note=str(data["note"]),
            tokens=int(data["tokens"]),
            money=float(data["money"]),
        )


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a verifier found out about one idea at one fidelity.

    `score` is the natural logarithm of the speedup over the baseline. It is None where the idea did not pass, and at
    BUILD, which times nothing: `passed` tells these apart. `error` is the score's standard error, None where too little
    was timed for one. `words` are the builder's or the referee's own, for the
    proposer to learn from. `near_limit` is the physical floor over the time (1 = at the floor), None where no floor is
    known. Raises ValueError for a score that is not finite, of something that did not pass, or missing above BUILD, and
    for an error that is negative or not finite.
    """

    identity: str
    fidelity: Fidelity
    passed: bool
    score: float | None
    words: str
    seconds: float
    tokens: int = 0
    money: float = 0.0
    near_limit: float | None = None
    error: float | None = None

    def __post_init__(self) -> None:
        _require_costs(self.seconds, self.tokens, self.money)
        if self.score is not None and not (self.passed and math.isfinite(self.score)):
            raise ValueError(f"only what passed has a score, and it is finite: passed={self.passed}, {self.score}")
        if self.passed and self.score is None and self.fidelity > Fidelity.BUILD:
            raise ValueError(f"what passed at {self.fidelity.name} needs a score")
        if self.near_limit is not None and not (math.isfinite(self.near_limit) and self.near_limit >= 0):
            raise ValueError(f"the share of the physical floor must be finite and not negative: {self.near_limit}")
        if self.error is not None and not (math.isfinite(self.error) and self.error >= 0):
            raise ValueError(f"a standard error must be finite and not negative: {self.error}")

    def to_json(self) -> dict[str, Any]:
        """A plain mapping for the ledger."""
        return {
            "identity": self.identity,
            "fidelity": self.fidelity.name,
            "passed": self.passed,
            "score": self.score,
            "words": self.words,
            "seconds": self.seconds,
            "tokens": self.tokens,
            "money": self.money,
            "near_limit": self.near_limit,
            "error": self.error,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Evaluation:
        """The inverse of `to_json`."""
        return cls(
            identity=str(data["identity"]),
            fidelity=Fidelity[data["fidelity"]],
            passed=bool(data["passed"]),
            score=data["score"],
            words=str(data["words"]),
            seconds=float(data["seconds"]),
            tokens=int(data["tokens"]),
            money=float(data["money"]),
            near_limit=data["near_limit"],
            error=data.get("error"),  # journals of before have none
        )


def _require_costs(*costs: float) -> None:
    if not all(math.isfinite(cost) and cost >= 0 for cost in costs):
        raise ValueError(f"costs must be finite and not negative: {costs}")
