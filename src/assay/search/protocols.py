"""The four roles of a search: the problem, who proposes, who verifies, and the strategy that says what to try next.

The engine knows these and nothing else of the project, so the same loop serves kernels, reasoning and games.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from assay.search.attempt import Evaluation, Fidelity, Idea


class Kind(Enum):
    """What a proposer is asked to make."""

    FRESH = "fresh"
    """Something new, from the problem alone."""
    REFINE = "refine"
    """A better version of one parent, or a repaired one if the parent did not pass."""
    CROSS = "cross"
    """One candidate out of two parents."""


@dataclass(frozen=True, slots=True)
class Known:
    """An idea and its latest evaluation, which is that at its highest fidelity."""

    idea: Idea
    evaluation: Evaluation


@dataclass(frozen=True, slots=True)
class Ask:
    """What a strategy wants: the parents' identities, and the island (a group that breeds apart) that it is for.

    Raises ValueError unless FRESH has no parent, REFINE one, CROSS two different ones.
    """

    kind: Kind
    parents: tuple[str, ...] = ()
    island: int | None = None

    def __post_init__(self) -> None:
        wanted = {Kind.FRESH: 0, Kind.REFINE: 1, Kind.CROSS: 2}[self.kind]
        if len(set(self.parents)) != wanted or len(self.parents) != wanted:
            raise ValueError(f"{self.kind.name} takes {wanted} different parents, not {self.parents}")

    def to_json(self) -> dict[str, Any]:
        """A plain mapping for the ledger."""
        return {"kind": self.kind.value, "parents": list(self.parents), "island": self.island}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Ask:
        """The inverse of `to_json`."""
        return cls(Kind(data["kind"]), tuple(data["parents"]), data["island"])


class Problem(Protocol):
    """What is searched for; `assay.core.sources.Task` is one. The identity keeps a journal from resuming another's."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    @property
    def identity(self) -> str:
        """Two problems with the same identity have the same answers."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """What a proposer gets to work from.

    `rng` belongs to this request: a proposer that draws from nothing else is repeatable, also after a resume.
    `evaluated` is every idea so far, whoever proposed it, in the order of first evaluations and without knockoffs; a
    proposer that learns from it needs no memory of its own, hence learns the same after a resume.
    """

    problem: Problem
    kind: Kind
    parents: tuple[Known, ...]
    best: Known | None
    rng: np.random.Generator
    evaluated: tuple[Known, ...] = ()


class Proposer(Protocol):
    """Writes candidates. It must not evaluate them."""

    @property
    def name(self) -> str:
        """Unique among a search's proposers; the ledger and the bandit use it."""
        ...

    def propose(self, request: Request) -> Idea | None:
        """A candidate, or None if it has nothing more for this request.

        An AssayError other than an internal one counts as None, with its words in the ledger.
        """
        ...


class Verifier(Protocol):
    """Judges ideas: the only source of scores. What it runs, it must confine."""

    def evaluate(self, idea: Idea, fidelity: Fidelity) -> Evaluation:
        """Of this very idea at this very fidelity; a candidate that fails is an evaluation, not an exception.

        Every call stands alone: knockoffs come at the leader's fidelity without having been built before.
        """
        ...


class Strategy(Protocol):
    """Decides what to try next from what was told, and from nothing else: no clock, no files, no other randomness.

    `ask` changes nothing, so a search rebuilt from its journal needs only the tells. Scores of an identity may be told
    again when a higher fidelity has seen more; the last one counts. Asks of the engine's own are told too, when no
    proposer had anything for the strategy's.
    """

    name: ClassVar[str]

    def ask(self, rng: np.random.Generator) -> Ask:
        """What to try next; parents are identities that were told."""
        ...

    def tell(self, ask: Ask, identity: str | None, score: float | None) -> None:
        """What came of it: a score, None for what did not pass; identity None if nobody had anything new for it."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Options and state."""
        ...

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        ...
