"""What a verdict on this machine is worth: its facts, the layers that really hold, and what it can prove right now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from assay.core.config import JudgeConfig
from assay.core.sources import Task
from assay.machine.cache_dirs import find_dirs
from assay.machine.facts import MachineFacts
from assay.machine.isolation import IsolationReport, probe_isolation
from assay.machine.measure import find_peaks
from assay.machine.peaks import Peaks
from assay.referee.bench import Progress
from assay.referee.judge import Referee
from assay.referee.tiers import Isolation
from assay.referee.timing.pairing import Overhead, Refusal


@dataclass(frozen=True, slots=True)
class Checkup:
    """The findings of `assay doctor`. `smallest_speedup` is 1.02 for 2 %, None where it was not measured."""

    facts: MachineFacts
    peaks: Peaks
    probed: IsolationReport
    held: Isolation | None
    smallest_speedup: float | Refusal | None
    overhead: Overhead | None
    spawn_ms: float | None

    def to_json(self) -> dict[str, Any]:
        """A plain mapping."""
        smallest = self.smallest_speedup
        return {
            "machine": self.facts.to_json(),
            "peaks": self.peaks.to_json(),
            "layers": self.probed.to_json(),
            "isolation": self.held.to_json() if self.held else None,
            "smallest_speedup": smallest if isinstance(smallest, float) else None,
            "why_no_smallest_speedup": smallest.message if isinstance(smallest, Refusal) else None,
            "overhead_us": self.overhead.median_ns / 1e3 if self.overhead else None,
            "fresh_worker_ms": self.spawn_ms,
        }


def examine(task: Task, budget_s: float, progress: Progress, *, measure: bool) -> Checkup:
    """Probe this machine; with `measure`, time `task`'s reference against itself for `budget_s` seconds.

    Raises MachineError where not even the sandbox or the peaks' program starts.
    """
    progress("trying the isolation layers", 0.0)
    probed = probe_isolation()
    with Referee(JudgeConfig(budget_s=budget_s, baseline="eager")) as referee:
        progress("measuring this machine's peaks", 0.0)
        peaks = find_peaks(referee.facts, find_dirs())
        if not measure:
            return Checkup(referee.facts, peaks, probed, referee.isolation(), None, None, None)
        proof = referee.self_measurement(task, progress)
    return Checkup(
        referee.facts, peaks, probed, proof.isolation, proof.smallest_speedup, proof.overhead, proof.spawn_ms
    )
