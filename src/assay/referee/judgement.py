"""The result of judging one candidate: everything that a certificate says, before it is signed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from assay.core.config import JudgeConfig
from assay.core.sources import Candidate, Task
from assay.core.verdicts import Finding, Verdict, Weight
from assay.errors import Fault
from assay.machine.facts import MachineFacts
from assay.machine.floor import FloorEstimate, RooflinePoint
from assay.referee.baseline import Baseline
from assay.referee.correctness.audit import Audit
from assay.referee.tiers import Isolation
from assay.referee.timing.decision import Claim
from assay.referee.timing.pairing import Overhead
from assay.referee.timing.samples import Sample


@dataclass(frozen=True, slots=True)
class Correctness:
    """What was tried, and that every output of it was verified."""

    verified_calls: int
    families: tuple[str, ...]
    dropped_families: Mapping[str, str]
    shapes: tuple[Mapping[str, int], ...]
    budgets: Mapping[str, float]
    oracle: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Timing:
    """What was measured. `samples` are raw; overhead is what a null kernel in the same shell cost."""

    samples: tuple[Sample, ...]
    overhead: Overhead
    claim: Claim
    rounds: int
    turns: int
    spawn_ms: float | None
    floor: FloorEstimate | None = None
    roofline: Mapping[str, RooflinePoint] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with all that it rests on. Parts are None where the judgement ended before they were reached."""

    verdict: Verdict
    task: Task
    candidate: Candidate
    config: JudgeConfig
    machine: MachineFacts
    findings: tuple[Finding, ...]
    commitment: str
    key: bytes
    artifact_identity: str | None = None
    build_cpu_seconds: float | None = None
    device: Mapping[str, Any] | None = None
    """The GPU that it ran on, what its kernels take of it, and what they were built for."""
    declaration: Mapping[str, Any] = field(default_factory=dict)
    axes: Mapping[str, int] = field(default_factory=dict)
    audit: Audit | None = None
    baseline: Baseline | None = None
    correctness: Correctness | None = None
    timing: Timing | None = None
    isolation: Isolation | None = None
    seconds: float = 0.0

    @property
    def right(self) -> bool | None:
        """True where every output tried was right, False where the candidate failed, None where that is not known."""
        if any(finding.weight is Weight.FATAL and finding.fault is Fault.CANDIDATE for finding in self.findings):
            return False
        return True if self.correctness is not None and self.correctness.verified_calls else None

    @property
    def speedup(self) -> tuple[float, float, float] | None:
        """(estimate, lower, upper) of baseline time over candidate time; None where it was not measured."""
        if self.timing is None or self.timing.claim.speedup is None:
            return None
        interval = self.timing.claim.speedup
        return interval.ratio, interval.lower_ratio, interval.upper_ratio
