"""What a search may spend, what it has spent, and what is in flight.

Covered: nothing starts once a limit is reached, counting reservations. Not covered: what is in flight may pass a limit
in seconds, tokens or money by its own cost, since nobody knows that cost before; evaluations are exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Spent:
    """Amounts of everything that a search can spend; `evaluations` are calls of the verifier."""

    seconds: float = 0.0
    evaluations: int = 0
    tokens: int = 0
    money: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.seconds + other.seconds,
            self.evaluations + other.evaluations,
            self.tokens + other.tokens,
            self.money + other.money,
        )

    def to_json(self) -> dict[str, Any]:
        """A plain mapping for results."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits; None is no limit. Raises ValueError for a limit that is negative or not finite."""

    seconds: float | None = None
    evaluations: int | None = None
    tokens: int | None = None
    money: float | None = None

    def __post_init__(self) -> None:
        for name, limit in self.limits().items():
            if not (math.isfinite(limit) and limit >= 0):
                raise ValueError(f"a budget's {name} must be finite and not negative, or None: {limit}")

    def limits(self) -> Mapping[str, float]:
        """The limits that are set, by name."""
        named = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: limit for name, limit in named.items() if limit is not None}

    def exhausted(self, spent: Spent) -> str | None:
        """In words which limit was reached, None if none was."""
        for name, limit in self.limits().items():
            if (used := getattr(spent, name)) >= limit:
                return f"the budget is spent: {_amount(used)} of {_amount(limit)} {name}"
        return None

    def remaining_share(self, spent: Spent) -> float | None:
        """Of the scarcest limit, within 0 and 1; None if there is no limit."""
        shares = [1 - getattr(spent, name) / limit if limit > 0 else 0.0 for name, limit in self.limits().items()]
        return None if not shares else max(0.0, min(shares))


def _amount(value: float) -> str:
    """Without digits that say nothing: hundredths of a second and of money are enough."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


class Account:
    """One search's spending against its budget: reserve before, settle after."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.spent = Spent()
        self._reserved: dict[int, Spent] = {}
        self._next_ticket = 0

    @property
    def committed(self) -> Spent:
        """Spent and reserved together."""
        return sum(self._reserved.values(), self.spent)

    def reserve(self, expected: Spent) -> int:
        """Sets an amount aside for something about to start; the ticket settles it."""
        self._next_ticket += 1
        self._reserved[self._next_ticket] = expected
        return self._next_ticket

    def settle(self, ticket: int, actual: Spent) -> None:
        """Replaces a reservation by what it really cost. Raises KeyError for a ticket that is not open."""
        del self._reserved[ticket]
        self.charge(actual)

    def charge(self, actual: Spent) -> None:
        """Books a cost that nothing was reserved for, such as one read from a journal."""
        self.spent = self.spent + actual

    def exhausted(self) -> str | None:
        """In words why nothing more may start, None if something may."""
        return self.budget.exhausted(self.committed)

    def remaining_share(self) -> float | None:
        """Of the scarcest limit, reservations counted as spent; None if there is no limit."""
        return self.budget.remaining_share(self.committed)
