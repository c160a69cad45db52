"""Isolation tiers: what a verdict's confinement is worth, by the layers that really held in the candidate's process."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from assay.sandbox.confine import ALL_LAYERS


class Tier(Enum):
    """From the strongest down; a certificate names its tier."""

    SEALED = "sealed"
    """Every layer holds: no other process, file, network or privilege is in reach."""
    CONFINED = "confined"
    """Processes, files and system calls are out of reach, but some second lock is missing (for example a uid of its
    own, where the referee does not run as root)."""
    OPEN = "open"
    """The candidate could reach the referee's user's files or processes; only trust verdicts on code that you trust."""


_CONFINED_NEEDS = {"namespace:pid", "namespace:mount", "namespace:net", "minimal-root", "private-scratch",
                   "no-capabilities", "no-new-privileges", "limits", "seccomp"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Isolation:
    """The layers of a run and the tier that follows from them."""

    held: tuple[str, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """The layers that this machine did not give, in the order in which they are put on."""
        return tuple(layer for layer in ALL_LAYERS if layer not in self.held)

    @property
    def tier(self) -> Tier:
        """The tier that these layers amount to."""
        if not self.missing:
            return Tier.SEALED
        return Tier.CONFINED if set(self.held) >= _CONFINED_NEEDS else Tier.OPEN

    def to_json(self) -> dict[str, Any]:
        """A plain mapping for certificates."""
        return {"tier": self.tier.value, "held": list(self.held), "missing": list(self.missing)}

    @classmethod
    def of(cls, layers: Iterable[str]) -> Isolation:
        """From the names that a confined process reported."""
        return cls(tuple(layers))
