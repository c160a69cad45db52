"""Independent ideas, the best one wins: the yardstick that every other strategy has to beat at equal cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from assay.search.protocols import Ask, Kind


class BestOfN:
    """Always something new; N is the budget's."""

    name: ClassVar[str] = "best_of_n"

    def ask(self, rng: np.random.Generator) -> Ask:
        """See `Strategy`."""
        return Ask(Kind.FRESH)

    def tell(self, ask: Ask, identity: str | None, score: float | None) -> None:
        """See `Strategy`; nothing is learnt."""

    def to_json(self) -> dict[str, Any]:
        """See `Strategy`."""
        return {"name": self.name}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """See `Strategy`."""
        return cls()
