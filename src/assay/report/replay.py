"""Somebody's certificate, run again here: signature, its witness alone, then the sources under new secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from assay.core.config import JudgeConfig
from assay.core.sources import Candidate, Task
from assay.core.verdicts import Verdict
from assay.referee.bench import Progress
from assay.referee.judge import Referee
from assay.referee.judgement import Judgement
from assay.referee.witness import find_witness
from assay.report.signing import SignatureCheck, check_signature


class Holds(Enum):
    """Whether a certificate's claim could be repeated."""

    YES = "holds"
    """The same verdict here."""
    NO = "does-not-hold"
    """The opposite verdict here, or a changed certificate."""
    UNDECIDED = "undecided"
    """This run did not decide; more budget or a quieter machine may."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What running a certificate again showed. `judgement` is None where signature or witness already ended it."""

    holds: Holds
    reason: str
    signature: SignatureCheck
    judgement: Judgement | None
    witness: str = ""
    """What the recorded witness shows here; empty where the certificate has none that can be tried alone."""

    def to_json(self) -> dict[str, Any]:
        """A plain mapping: the outcome, its reason, and what this machine found."""
        here = self.judgement
        return {
            "holds": self.holds.value,
            "reason": self.reason,
            "witness": self.witness or None,
            "signature_valid": self.signature.valid,
            "signed_here": self.signature.by_this_machine_user,
            "verdict_here": here.verdict.value if here else None,
            "speedup_here": list(here.speedup) if here and here.speedup else None,
            "findings_here": [finding.to_json() for finding in here.findings] if here else [],
        }


def replay(certificate: Mapping[str, Any], progress: Progress) -> Replay:
    """Judge a certificate's candidate again with its own settings, but this machine's threads and memory.

    A rejection whose recorded witness is wrong again is settled by that.

    Raises as `Referee.judge` does.
    """
    signature = check_signature(certificate)
    if not signature.valid:
        return Replay(Holds.NO, f"the signature does not hold: {signature.reason}", signature, None)
    task, candidate = Task.from_json(certificate["task"]), Candidate.from_json(certificate["candidate"])
    config = JudgeConfig.from_json({**certificate["config"], "threads": 0, "memory_bytes": 0})
    claimed, witness = Verdict(certificate["verdict"]), find_witness(certificate["findings"])
    shown = ""
    with Referee(config) as referee:
        if claimed is Verdict.REJECT and witness is not None:
            progress("repeating the witness", 0.0)
            if wrong := referee.repeat(task, candidate, witness):
                return Replay(Holds.YES, "wrong on the recorded inputs again", signature, None, f"repeats: {wrong}")
            shown = "does not repeat in a fresh process"
        judgement = referee.judge(task, candidate, progress)
    found = judgement.verdict
    if found is claimed:
        return Replay(Holds.YES, f"{found.value} again", signature, judgement, shown)
    reason = f"claimed {claimed.value}, here {found.value}"
    undecided = Verdict.INCONCLUSIVE in (claimed, found)
    return Replay(Holds.UNDECIDED if undecided else Holds.NO, reason, signature, judgement, shown)
