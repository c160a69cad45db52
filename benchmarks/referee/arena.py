"""Any two C++ kernels of one task against each other, through the judge's own bench, measurement and decision.

The judge always measures against a PyTorch baseline; here a kernel can meet itself, or one of known cost.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from assay.build.cpp import CppBuilder
from assay.core.config import JudgeConfig
from assay.core.sources import Candidate, Task
from assay.machine.survey import read_facts
from assay.referee.bench import Bench, Landing, Resources
from assay.referee.correctness.families import OWN
from assay.referee.judge import silent
from assay.referee.measuring import Measurement
from assay.referee.protocol.party import Program
from assay.referee.protocol.secret import Secret
from assay.referee.protocol.shell_cost import NULL_KERNEL
from assay.referee.timing.decision import Claim, decide
from assay.referee.timing.pairing import Overhead
from assay.referee.timing.samples import PREEMPTED_FLOOR_NS, PREEMPTED_SHARE, Triples
from assay.referee.zygotes import Zygotes

_WARM_UP = 2
_CALL_SECONDS = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Duel:
    """One measurement of two programs. `triples` is None where it failed; `problem` says why."""

    claim: Claim | None
    triples: Triples | None
    overhead: Overhead
    seconds: float
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """The claim without its long parts."""
        claim = self.claim
        speed = claim.speedup if claim else None
        return {
            "outcome": claim.outcome.value if claim else None,
            "reason": claim.reason.value if claim and claim.reason else None,
            "message": claim.message if claim else self.problem,
            "speedup": [speed.ratio, speed.lower_ratio, speed.upper_ratio] if speed else None,
            "resolution": claim.resolution if claim else None,
            "overhead_us": round(self.overhead.median_ns / 1e3, 1),
            "seconds": round(self.seconds, 2),
        }


class Arena:
    """One prepared bench. A context manager."""

    def __init__(self, task: Task) -> None:
        facts = read_facts()
        config = JudgeConfig(baseline="eager")
        resources = Resources.of(config, facts)
        self._zygotes = Zygotes(resources.threads)
        self._builder = CppBuilder()
        self._null = self._builder.build(NULL_KERNEL).content
        self.bench = Bench(task, config, resources, self._zygotes, Secret())
        self.bench.calibrate(silent)

    def native(self, candidate: Candidate) -> Program:
        """A C++ candidate, built."""
        return self.bench.candidate_program(candidate, self._builder.build(candidate).content)

    def null(self) -> Program:
        """The kernel that does nothing."""
        return self.bench.candidate_program(NULL_KERNEL, self._null)

    def duel(self, baseline: Program, candidate: Program, rounds: int, turns: int) -> Duel:
        """Measure and decide as the judge does: new secrets, every output of the candidate verified.

        Both sides of a duel are native, so that one null kernel serves both.
        """
        start = time.monotonic()
        self.bench.secret.renew()
        self.bench.windowed = self.bench.timed
        measurement = Measurement(self.bench, baseline, candidate, (self.null(),), _CALL_SECONDS)
        evidence = measurement.run(rounds, turns, _WARM_UP, silent)
        overhead = evidence.overhead
        if evidence.failed or overhead is None:
            words = "; ".join(finding.message for finding in evidence.findings) or "no samples"
            return Duel(None, None, Overhead.none(), time.monotonic() - start, words)
        triples = Triples.from_samples(evidence.samples)
        return Duel(decide(triples, overhead), triples, overhead, time.monotonic() - start)

    def call_times(self, programs: dict[str, Program], calls: int, warm_up: int = 3) -> dict[str, list[int]]:
        """Wall times in ns of the programs' own calls, as in a timed turn; those that were preempted left out."""
        parties = {name: self.bench.party(program) for name, program in programs.items()}
        times: dict[str, list[int]] = {name: [] for name in programs}
        try:
            for party in parties.values():
                party.lay_out(self.bench.timed)
            for index in range(warm_up + calls):
                landing = Landing.of(self.bench.draw(self.bench.timed, OWN))
                names = list(programs)
                for name in (names[place] for place in self.bench.secret.shuffled(len(names))):
                    party = parties[name]
                    self.bench.land(landing)
                    call = party.run(0, _CALL_SECONDS)
                    party.collect(call)
                    if party.problem is not None:
                        raise RuntimeError(f"{name}: {party.problem.message}")
                    if index >= warm_up and call.delayed_ns < max(PREEMPTED_FLOOR_NS, PREEMPTED_SHARE * call.wall_ns):
                        times[name].append(call.wall_ns)
        finally:
            for party in parties.values():
                party.close()
        return times

    def median_ns(self, program: Program, calls: int = 20) -> float:
        """A typical call, shell included."""
        times = self.call_times({"it": program}, calls)["it"]
        return float(np.median(times)) if times else float("nan")

    def close(self) -> None:
        """End every process."""
        self.bench.close()
        self._builder.close()
        self._zygotes.close()

    def __enter__(self) -> Arena:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
