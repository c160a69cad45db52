"""Shares the budget among proposers by what an hour of each is likely to bring.

An improvement of the best score is a rare event, so each proposer's improvements are taken for a Poisson process in its
own cost: Gamma posterior on the frequency (Jeffreys' prior), times the mean size of its improvements, drawn once per
choice (Thompson, Biometrika 25, 1933). Both forget by a discount, since what helps early stops helping later (Raj and
Kalyani, Taming non-stationary bandits, 2017). A share of choices is uniform whatever was learnt.
Limits: cost is seconds only; tokens and money are kept down by the budget. An improvement is credited to who proposed
it, not to who proposed its parents.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from assay.search.protocols import Kind

EXPLORATION = 0.1
"""Share of uniform choices: with five proposers each still gets 2 % when it has never brought anything."""

DISCOUNT = 0.98
"""Per outcome of any proposer: half of the memory is 34 outcomes old."""

PRIOR_EVENTS = 0.5
"""Jeffreys' prior of a Poisson rate."""

PATIENCE, NOTHING, DUPLICATE = 21, 7, 1
"""A proposer has nothing more for a kind after three times None, or 21 known ideas (or a mix) in a row: None is said on
purpose, a random proposer repeats itself now and then."""


@dataclass(slots=True)
class _Arm:
    """One proposer: discounted improvements, their number and its cost, and how fruitless each kind has been lately."""

    gain: float = 0.0
    wins: float = 0.0
    cost_s: float = 0.0
    outcomes: float = 0.0
    fruitless: dict[Kind, int] = field(default_factory=dict)


class Bandit:
    """Which proposer works next. Proposers are known by name; one that a journal names may be absent now."""

    def __init__(self, names: Iterable[str]) -> None:
        self._arms = {name: _Arm() for name in names}

    def choose(self, kind: Kind, names: Iterable[str], rng: np.random.Generator) -> str | None:
        """One of `names` that still has something for this kind; None if none has."""
        able = sorted(name for name in names if not self.is_barren(name, kind))
        if not able:
            return None
        if rng.random() < EXPLORATION:
            return able[int(rng.integers(len(able)))]
        draws = {name: self._draw(name, rng) for name in able}
        return max(draws, key=lambda name: draws[name])

    def charge(self, name: str, seconds: float) -> None:
        """Cost of a proposer's work or of evaluating it."""
        self._arm(name).cost_s += seconds

    def credit(self, name: str, gain: float) -> None:
        """A new best, better by `gain` in log speedup; every proposer may have something new for it."""
        if gain > 0:
            self._arm(name).gain += gain
            self._arm(name).wins += 1
        for arm in self._arms.values():
            arm.fruitless.clear()

    def conclude(self, name: str, kind: Kind) -> None:
        """A proposer's new idea has got its first answer: everybody's memory fades a little."""
        for arm in self._arms.values():
            arm.gain *= DISCOUNT
            arm.wins *= DISCOUNT
            arm.cost_s *= DISCOUNT
            arm.outcomes *= DISCOUNT
        self._arm(name).outcomes += 1
        self._arm(name).fruitless.pop(kind, None)

    def disappoint(self, name: str, kind: Kind, weight: int) -> None:
        """It had nothing (`NOTHING`) or only what was known (`DUPLICATE`)."""
        fruitless = self._arm(name).fruitless
        fruitless[kind] = fruitless.get(kind, 0) + weight

    def is_barren(self, name: str, kind: Kind) -> bool:
        """Whether it has nothing more for a kind until there is a new best."""
        return self._arm(name).fruitless.get(kind, 0) >= PATIENCE

    def rates(self) -> dict[str, float | None]:
        """Improvement of the log speedup per second, as remembered; None for who has cost nothing."""
        return {name: arm.gain / arm.cost_s if arm.cost_s else None for name, arm in self._arms.items()}

    def _arm(self, name: str) -> _Arm:
        return self._arms.setdefault(name, _Arm())

    def _draw(self, name: str, rng: np.random.Generator) -> float:
        """A plausible rate of improvement. One mean outcome of everybody's is the prior's cost, so units cancel."""
        arms = self._arms.values()
        total_cost, total_outcomes = sum(arm.cost_s for arm in arms), sum(arm.outcomes for arm in arms)
        typical_cost = total_cost / total_outcomes if total_cost and total_outcomes else 1.0
        wins = sum(arm.wins for arm in arms)
        typical_gain = sum(arm.gain for arm in arms) / wins if wins else 1.0
        arm = self._arm(name)
        frequency = rng.gamma(PRIOR_EVENTS + arm.wins) / (typical_cost + arm.cost_s)
        return float(frequency * (typical_gain + arm.gain) / (1 + arm.wins))
