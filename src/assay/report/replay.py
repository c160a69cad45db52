"""Somebody's certificate, run again here: signature first, then the same sources under new secrets."""

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
    """What running a certificate again showed. `judgement` is None where its signature already ended it."""

    holds: Holds
    reason: str
    signature: SignatureCheck
    judgement: Judgement | None

    def to_json(self) -> dict[str, Any]:
        """A plain mapping: the outcome, its reason, and what this machine found."""
        here = self.judgement
        return {
            "holds": self.holds.value,
            "reason": self.reason,
            "signature_valid": self.signature.valid,
            "signed_here": self.signature.by_this_machine_user,
            "verdict_here": here.verdict.value if here else None,
            "speedup_here": list(here.speedup) if here and here.speedup else None,
            "findings_here": [finding.to_json() for finding in here.findings] if here else [],
        }


def replay(certificate: Mapping[str, Any], progress: Progress) -> Replay:
    """Judge a certificate's candidate again with its own settings, but this machine's threads and memory.

    Raises as `Referee.judge` does.
    """
    signature = check_signature(certificate)
    if not signature.valid:
        return Replay(Holds.NO, f"the signature does not hold: {signature.reason}", signature, None)
    task, candidate = Task.from_json(certificate["task"]), Candidate.from_json(certificate["candidate"])
    config = JudgeConfig.from_json({**certificate["config"], "threads": 0, "memory_bytes": 0})
    with Referee(config) as referee:
        judgement = referee.judge(task, candidate, progress)
    claimed, found = Verdict(certificate["verdict"]), judgement.verdict
    if found is claimed:
        return Replay(Holds.YES, f"{found.value} again", signature, judgement)
    if Verdict.INCONCLUSIVE in (claimed, found):
        return Replay(Holds.UNDECIDED, f"claimed {claimed.value}, here {found.value}", signature, judgement)
    return Replay(Holds.NO, f"claimed {claimed.value}, here {found.value}", signature, judgement)
