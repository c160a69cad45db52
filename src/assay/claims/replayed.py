"""What looking at somebody's claim again showed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from assay.claims.decision import Decision
from assay.report.replay import Holds
from assay.report.signing import SignatureCheck


@dataclass(frozen=True, slots=True)
class ClaimReplay:
    """`here` is None where the models were not judged again."""

    holds: Holds
    reason: str
    signature: SignatureCheck
    here: Decision | None

    def to_json(self) -> dict[str, Any]:
        """A plain mapping: the outcome, its reason, and what this machine found."""
        return {
            "holds": self.holds.value, "reason": self.reason, "signature_valid": self.signature.valid,
            "signed_here": self.signature.by_this_machine_user, "here": self.here.to_json() if self.here else None,
        }  # fmt: skip
