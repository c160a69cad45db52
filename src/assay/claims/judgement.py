"""Everything that judging two models brought, before it is signed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from assay.checkpoints import ModelFolder
from assay.claims.decision import Decision
from assay.claims.evidence import Evidence
from assay.claims.held_out import HeldOut
from assay.claims.settings import ClaimSettings
from assay.core.verdicts import Verdict
from assay.machine.facts import MachineFacts
from assay.referee.tiers import Isolation


@dataclass(frozen=True, slots=True)
class ModelJudgement:
    """`names` are what the folders are called, (dense, cheap); `folders` are the copies that were judged."""

    names: tuple[str, str]
    folders: tuple[ModelFolder, ModelFolder]
    sources: tuple[str, str]
    seeds: tuple[int | None, ...]
    data: HeldOut
    data_digest: str
    settings: ClaimSettings
    evidence: Evidence
    decision: Decision
    isolation: Isolation | None
    machine: MachineFacts
    key: bytes
    commitment: str
    seconds: float

    @property
    def verdict(self) -> Verdict:
        """What was decided."""
        return self.decision.verdict

    def to_json(self) -> dict[str, Any]:
        """The short answer: verdict, quality, costs and findings. The certificate has everything."""
        return self.decision.to_json()
