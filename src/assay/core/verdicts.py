"""What a judgement says: a verdict, and the findings that it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from assay.errors import Fault


class Verdict(Enum):
    """The referee's answer; never a guess."""

    ACCEPT = "ACCEPT"
    """Right on everything tried, and faster by more than this run could have faked."""
    REJECT = "REJECT"
    """Wrong, cheating, broken, or provably not faster; a finding says which, with a witness."""
    INCONCLUSIVE = "INCONCLUSIVE"
    """The evidence does not decide; a finding says what was missing."""


class Weight(Enum):
    """What a finding does to the verdict."""

    FATAL = "fatal"
    """Rejects on its own."""
    DOUBT = "doubt"
    """Forbids acceptance."""
    NOTE = "note"
    """Reported, decides nothing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check concluded. `code` is stable and lower-case with dashes; `data` carries the witness as JSON."""

    code: str
    weight: Weight
    message: str
    fault: Fault | None = None
    data: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """A plain mapping for certificates."""
        return {
            "code": self.code,
            "weight": self.weight.value,
            "message": self.message,
            "fault": self.fault.value if self.fault else None,
            "data": dict(self.data),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Finding:
        """The inverse of `to_json`."""
        fault = Fault(data["fault"]) if data["fault"] else None
        return cls(str(data["code"]), Weight(data["weight"]), str(data["message"]), fault, dict(data["data"]))
