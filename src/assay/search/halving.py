"""Fidelities as a cascade: everything is built and screened, the best share is timed, the best of those in full.

Successive halving without rounds (Li et al., A system for massively parallel hyperparameter tuning, MLSys 2020): an
idea moves up as soon as it stands among the best share of its rung so far, so nothing waits for a batch to fill up.
At least one of every rung moves up, hence every new best of a rung is looked at more closely at once, and the best
known idea has a full evaluation whenever the search is stopped.
Limits: an idea that a noisy screen ranks low is never timed properly; `keep` is the price of that risk.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assay.search.attempt import Evaluation, Fidelity


@dataclass(frozen=True, slots=True)
class Rung:
    """One fidelity, and the share of what passed it that goes on to the next (ignored on the last)."""

    fidelity: Fidelity
    keep: float

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1:
            raise ValueError(f"the share that goes on must be above 0 and at most 1: {self.keep}")

    def to_json(self) -> dict[str, Any]:
        """A plain mapping for the ledger."""
        return {"fidelity": self.fidelity.name, "keep": self.keep}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Rung:
        """The inverse of `to_json`."""
        return cls(Fidelity[data["fidelity"]], float(data["keep"]))


CASCADE = (
    Rung(Fidelity.BUILD, 1.0),
    Rung(Fidelity.SCREEN, 1 / 3),
    Rung(Fidelity.SHORT, 1 / 3),
    Rung(Fidelity.FULL, 1.0),
)
"""Thirds, as Hyperband's authors recommend 3 or 4 (Li et al., JMLR 18(185), 2018, section 2.6)."""


class Halving:
    """Which idea is evaluated next at which fidelity. Raises ValueError unless the rungs rise and end in FULL."""

    def __init__(self, rungs: tuple[Rung, ...] = CASCADE) -> None:
        fidelities = [rung.fidelity for rung in rungs]
        if not rungs or fidelities != sorted(set(fidelities)) or fidelities[-1] is not Fidelity.FULL:
            raise ValueError(f"rungs must rise and end in FULL, where finalists are made: {fidelities}")
        self.rungs = rungs
        self._waiting: list[str] = []
        self._seen: list[set[str]] = [set() for _ in rungs]
        self._ranked: list[list[tuple[float, int, str]]] = [[] for _ in rungs]

    def enter(self, identity: str) -> None:
        """A new idea; it waits for the first rung."""
        self._waiting.append(identity)

    def next(self) -> tuple[str, Fidelity] | None:
        """From the top rung down, so that what is promising is settled first; None if nothing is waiting."""
        for number in range(len(self.rungs) - 1, 0, -1):
            ranked = self._ranked[number - 1]
            best = ranked[: max(1, int(len(ranked) * self.rungs[number - 1].keep))]
            for _, _, identity in best:
                if identity not in self._seen[number]:
                    return identity, self.rungs[number].fidelity
        return (self._waiting[0], self.rungs[0].fidelity) if self._waiting else None

    def record(self, evaluation: Evaluation) -> None:
        """An evaluation that `next` asked for. What fails leaves every rung, so that it holds nobody's place."""
        number = [rung.fidelity for rung in self.rungs].index(evaluation.fidelity)
        identity = evaluation.identity
        self._seen[number].add(identity)
        if identity in self._waiting:
            self._waiting.remove(identity)
        if evaluation.passed:
            # Without a score (BUILD), first come, first served.
            place = (-(evaluation.score or 0.0), len(self._seen[number]), identity)
            bisect.insort(self._ranked[number], place)
        else:
            self._ranked = [[place for place in ranked if place[2] != identity] for ranked in self._ranked]

    def finalists(self, count: int) -> tuple[str, ...]:
        """The best of the last rung, and of no other, best first."""
        return tuple(identity for _, _, identity in self._ranked[-1][:count])
