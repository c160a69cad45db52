"""The judge: from a task and a candidate to a verdict. It gathers evidence from the others and decides.

ACCEPT needs all of it: every output right, no doubt, and a speedup whose lower bound exceeds what the same code against
itself could fake in this very run. A fatal finding rejects; so does a proof that the candidate is not faster. Anything
else is INCONCLUSIVE, with the reason.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from types import TracebackType

import numpy as np

from assay.build.cpp import Artifact, CppBuilder
from assay.core.config import Depth, JudgeConfig
from assay.core.dtypes import DType
from assay.core.sources import Candidate, Language, Task
from assay.core.verdicts import Finding, Verdict, Weight
from assay.errors import CandidateError, Fault
from assay.machine.cache_dirs import find_dirs
from assay.machine.facts import MachineFacts
from assay.machine.floor import Work, estimate_floor, place_on_roofline
from assay.machine.measure import find_peaks
from assay.machine.peaks import Peaks
from assay.machine.survey import read_facts
from assay.referee.audit import Audit, audit_task
from assay.referee.baseline import Baseline, find_baseline
from assay.referee.bench import PRELOAD, Bench, Progress, Resources
from assay.referee.decision import Outcome, decide
from assay.referee.judgement import Correctness, Judgement, Timing
from assay.referee.measuring import Evidence, Measurement
from assay.referee.pairing import Overhead, Refusal
from assay.referee.planning import Plan, detectable_speedup, plan
from assay.referee.samples import Side, Triples
from assay.referee.secret import Secret
from assay.referee.shell_cost import NULL_KERNEL, measure_overhead
from assay.referee.tiers import Isolation
from assay.referee.warm_up import with_compile_cache
from assay.sandbox.spawn import Zygote

_SCREEN_PLAN = Plan(rounds=2, turns=6, warm_up_turns=2, expected_s=1.0)
_WARM_UP_TURNS = 3
_UNKNOWN_CALL_NS = 1e6
_TIMEOUT_FACTOR = 50
"""A call may take this many times the baseline's median before it counts as hanging."""


def silent(_what: str, _share: float) -> None:
    """Progress that nobody watches."""


class Referee:
    """Judges candidates; a context manager that holds the sandbox, and one bench per task seen.

    Raises MachineError where this machine cannot judge at all, TaskError where a task cannot be a reference.
    """

    def __init__(self, config: JudgeConfig | None = None) -> None:
        self.config = config or JudgeConfig()
        self.facts: MachineFacts = read_facts()
        self.resources = Resources.of(self.config, self.facts)
        self._zygote = Zygote(PRELOAD, threads=self.resources.threads)
        self._builder: CppBuilder | None = None
        self._prepared: dict[str, _Prepared] = {}
        self._peaks: Peaks | None = None

    def judge(self, task: Task, candidate: Candidate, progress: Progress = silent) -> Judgement:
        """One verdict. Bad candidates are verdicts, never exceptions."""
        started = time.monotonic()
        try:
            progress("building the candidate", 0.0)
            artifact = self._build(candidate)
        except CandidateError as error:
            return self._unbuilt(task, candidate, error, time.monotonic() - started)
        prepared = self._prepare(task, progress)
        prepared.bench.secret.renew()
        judgement = _Judging(prepared, self.config, self.facts, candidate, artifact).run(progress)
        return replace(judgement, seconds=time.monotonic() - started)

    def audit(self, task: Task, progress: Progress = silent) -> Audit:
        """Whether a task is worth optimising: would a trivial answer pass?"""
        if task.identity in self._prepared:
            return self._prepared[task.identity].audit
        with Bench(task, self.config, self.resources, self._zygote, Secret()) as bench:
            bench.calibrate(progress)
            return audit_task(bench)

    def self_measurement(self, task: Task, progress: Progress = silent) -> SelfMeasurement:
        """The task's reference against itself: what this machine could prove now."""
        prepared = self._prepare(task, progress)
        bench, program = prepared.bench, prepared.baseline.program
        overhead, spawn_ms = measure_overhead(bench, prepared.null, native=False)
        cost = bench.costs()
        found = plan(prepared.baseline_ns, cost.turn_ns, cost.spawn_ns, self.config.budget_s)
        if isinstance(found, Refusal):
            return SelfMeasurement(found, overhead, spawn_ms, None)
        evidence = Measurement(bench, program, program, self.config.call_timeout_s).run(
            found.rounds, found.turns, found.warm_up_turns, progress
        )
        smallest = detectable_speedup(Triples.from_samples(evidence.samples), overhead)
        return SelfMeasurement(smallest, overhead, spawn_ms, Isolation.of(evidence.layers))

    def isolation(self) -> Isolation:
        """The layers that hold in a real confined child on this machine."""
        child = self._zygote.spawn("assay.referee.worker:rest", {})
        try:
            return Isolation.of(child.layers)
        finally:
            child.kill()

    def _build(self, candidate: Candidate) -> Artifact | None:
        if candidate.language is not Language.CPP:
            return None
        return self._cpp().build(candidate)

    def _cpp(self) -> CppBuilder:
        if self._builder is None:
            self._builder = CppBuilder()
        return self._builder

    def _prepare(self, task: Task, progress: Progress) -> _Prepared:
        if task.identity not in self._prepared:
            progress("starting the sandbox", 0.0)
            bench = Bench(task, self.config, self.resources, self._zygote, Secret())
            try:
                self._prepared[task.identity] = self._calibrated(bench, progress)
            except BaseException:
                bench.close()
                raise
        return self._prepared[task.identity]

    def _calibrated(self, bench: Bench, progress: Progress) -> _Prepared:
        bench.calibrate(progress)
        progress("auditing the task", 0.0)
        audit = audit_task(bench)
        versions = f"torch {self.facts.torch} python {self.facts.python}"
        baseline = find_baseline(bench, self.facts.identity, versions, progress)
        null = self._cpp().build(NULL_KERNEL).content
        if self._peaks is None:
            progress("measuring this machine's peaks", 0.0)
            self._peaks = find_peaks(self.facts, find_dirs())
        return _Prepared(bench, audit, baseline, null, self._peaks)

    def _unbuilt(self, task: Task, candidate: Candidate, error: CandidateError, seconds: float) -> Judgement:
        finding = Finding("does-not-build", Weight.FATAL, f"{error.what}: {error.value}", Fault.CANDIDATE)
        secret = Secret()
        return Judgement(
            Verdict.REJECT, task, candidate, self.config, self.facts, (finding,), secret.commitment, secret.key,
            seconds=seconds,
        )  # fmt: skip

    def close(self) -> None:
        """End every process."""
        for prepared in self._prepared.values():
            prepared.bench.close()
        self._prepared = {}
        if self._builder is not None:
            self._builder.close()
        self._zygote.close()

    def __enter__(self) -> Referee:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class SelfMeasurement:
    """What a machine can prove. `smallest_speedup` is 1.02 for 2 %, or says why there is none."""

    smallest_speedup: float | Refusal
    overhead: Overhead
    spawn_ms: float
    isolation: Isolation | None


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What judging any candidate of one task needs."""

    bench: Bench
    audit: Audit
    baseline: Baseline
    null: bytes
    peaks: Peaks

    @property
    def baseline_ns(self) -> float:
        """The baseline's median call when it was chosen."""
        chosen = [c.median_ns for c in self.baseline.considered if c.variant == self.baseline.variant]
        return chosen[0] or _UNKNOWN_CALL_NS if chosen else _UNKNOWN_CALL_NS


class _Judging:
    """One judgement on a prepared task."""

    def __init__(
        self, prepared: _Prepared, config: JudgeConfig, facts: MachineFacts, candidate: Candidate,
        artifact: Artifact | None,
    ) -> None:  # fmt: skip
        self._prepared, self._bench = prepared, prepared.bench
        self._config, self._facts = config, facts
        self._candidate, self._artifact = candidate, artifact
        self._findings: list[Finding] = self._task_findings()

    def _task_findings(self) -> list[Finding]:
        findings = []
        for trivial in self._prepared.audit.degenerate:
            message = f"the task is degenerate: {trivial.answer} would pass on every family"
            findings.append(Finding("degenerate-task", Weight.DOUBT, message, Fault.TASK))
        bench = self._bench
        if bench.timed.draws_random:
            message = "forward draws random numbers; both sides get the same seed before each call"
            findings.append(Finding("random-forward", Weight.NOTE, message, Fault.TASK))
        if bench.declaration.training_batch_norm:
            message = "batch normalisation runs in training mode; its running statistics are not compared"
            findings.append(Finding("training-batch-norm", Weight.NOTE, message, Fault.TASK))
        if bench.timed.why_no_float64:
            message = f"no float64 oracle ({bench.timed.why_no_float64}); the reference's own type serves"
            findings.append(Finding("no-float64-oracle", Weight.NOTE, message, Fault.TASK))
        return findings

    def run(self, progress: Progress) -> Judgement:
        """Overhead, plan, measurement, decision."""
        bench = self._bench
        if bench.timed.draws_random and self._candidate.language is Language.CPP:
            message = "the task draws random numbers from torch's generator, which native code cannot reproduce"
            self._findings.append(Finding("needs-torch-generator", Weight.FATAL, message, Fault.CANDIDATE))
            return self._judgement(Verdict.REJECT, None, None)
        native = self._candidate.language is Language.CPP
        overhead, spawn_ms = self._overhead(native)
        chosen = self._plan(overhead)
        program = bench.candidate_program(self._candidate, self._artifact.content if self._artifact else None)
        program = with_compile_cache(bench, self._candidate, program)
        timeout_s = max(self._config.call_timeout_s, _TIMEOUT_FACTOR * self._prepared.baseline_ns / 1e9)
        measurement = Measurement(bench, self._prepared.baseline.program, program, timeout_s)
        evidence = measurement.run(chosen.rounds, chosen.turns, chosen.warm_up_turns, progress)
        self._findings += evidence.findings
        correctness = self._correctness(evidence)
        if evidence.failed or not evidence.samples:
            verdict = Verdict.REJECT if evidence.failed else Verdict.INCONCLUSIVE
            return self._judgement(verdict, correctness, None, evidence)
        timing = self._timing(evidence, overhead, chosen, spawn_ms)
        return self._judgement(self._verdict(timing), correctness, timing, evidence)

    def _overhead(self, native: bool) -> tuple[Overhead, float]:
        """The shell's cost for one timed window, after deciding how many calls a window holds."""
        bench, prepared = self._bench, self._prepared
        bench.windowed = bench.timed
        overhead, spawn_ms = measure_overhead(bench, prepared.null, native=native)
        bench.set_chain(prepared.baseline_ns - overhead.of(Side.BASELINE))
        if bench.windowed.chain > 1:
            message = (
                f"one timed window is a chain of {bench.windowed.chain} calls, each input decided by the last output"
            )
            self._findings.append(Finding("chained-calls", Weight.NOTE, message))
            overhead, _ = measure_overhead(bench, prepared.null, native=native)
        return overhead, spawn_ms

    def _plan(self, overhead: Overhead) -> Plan:
        if self._config.depth is Depth.SCREEN:
            return _SCREEN_PLAN
        cost = self._bench.costs()
        found = plan(self._prepared.baseline_ns, cost.turn_ns, cost.spawn_ns, self._config.budget_s)
        if isinstance(found, Refusal):
            self._findings.append(Finding("budget-too-small", Weight.DOUBT, found.message, Fault.USER))
            return _SCREEN_PLAN
        return found

    def _correctness(self, evidence: Evidence) -> Correctness:
        bench = self._bench
        budgets = {f"{family}/{index}": limits.element for (family, index), limits in bench.budget.limits.items()}
        return Correctness(
            verified_calls=evidence.verified_calls,
            families=tuple(f for f in bench.families if f in evidence.families_tried or f == "own"),
            dropped_families=bench.dropped_families,
            shapes=tuple(evidence.shapes_tried),
            budgets=budgets,
            oracle="float64" if not bench.timed.why_no_float64 else "the task's own type",
        )

    def _timing(self, evidence: Evidence, overhead: Overhead, chosen: Plan, spawn_ms: float) -> Timing:
        triples = Triples.from_samples(evidence.samples)
        claim = decide(triples, overhead)
        timed = triples.timed()
        floor = estimate_floor(self._work(), self._prepared.peaks)  # of one call
        fastest = float(timed.wall_ns[:, Side.CANDIDATE].min()) / self._bench.windowed.chain
        if floor.is_impossible(fastest):
            message = f"a call of {fastest / 1e3:.1f} us is below the floor of {floor.min_ns / 1e3:.1f} us"
            self._findings.append(
                Finding("impossible", Weight.FATAL, f"{message}: {floor.explanation}", Fault.CANDIDATE, floor.to_json())
            )
        self._check_clocks(timed)
        calls = self._bench.windowed.chain
        medians = {side: (float(np.median(timed.wall_ns[:, side])) - overhead.of(side)) / calls for side in Side}
        roofline = {
            name: place_on_roofline(self._work(), max(medians[side], 1.0), self._prepared.peaks)
            for name, side in (("baseline", Side.BASELINE), ("candidate", Side.CANDIDATE))
        }
        return Timing(tuple(evidence.samples), overhead, claim, chosen.rounds, chosen.turns, spawn_ms, floor, roofline)

    def _check_clocks(self, timed: Triples) -> None:
        """CPU time can exceed wall time only by the number of cores; a clock that says otherwise was tampered with."""
        wall, cpu = timed.wall_ns[:, Side.CANDIDATE], timed.cpu_ns[:, Side.CANDIDATE]
        allowed = wall * self._facts.cores * _CLOCK_SLACK + _CLOCK_SLACK_NS
        worst = int(np.argmax(cpu - allowed))
        if cpu[worst] > allowed[worst]:
            message = f"charged {cpu[worst]:.0f} ns of CPU time in {wall[worst]:.0f} ns on {self._facts.cores} cores"
            self._findings.append(Finding("clocks-disagree", Weight.FATAL, message, Fault.CANDIDATE))

    def _work(self) -> Work:
        timed = self._bench.timed
        flops = {DType.FLOAT32: timed.flops} if timed.flops else {}
        return Work(timed.necessary_read_bytes, timed.output_bytes, flops)

    def _verdict(self, timing: Timing) -> Verdict:
        weights = {finding.weight for finding in self._findings}
        if Weight.FATAL in weights:
            return Verdict.REJECT
        claim = timing.claim
        if claim.outcome is Outcome.NOT_FASTER:
            self._findings.append(Finding("not-faster", Weight.FATAL, claim.message))
            return Verdict.REJECT
        if claim.outcome is Outcome.UNDECIDED:
            code = claim.reason.value if claim.reason else "undecided"
            self._findings.append(Finding(code, Weight.DOUBT, claim.message, Fault.MACHINE))
            return Verdict.INCONCLUSIVE
        if self._config.depth is Depth.SCREEN:
            self._findings.append(Finding("screening", Weight.DOUBT, "a screening never accepts; judge it in full"))
            return Verdict.INCONCLUSIVE
        return Verdict.INCONCLUSIVE if Weight.DOUBT in weights else Verdict.ACCEPT

    def _judgement(
        self, verdict: Verdict, correctness: Correctness | None, timing: Timing | None, evidence: Evidence | None = None
    ) -> Judgement:
        bench, artifact = self._bench, self._artifact
        return Judgement(
            verdict=verdict, task=bench.task, candidate=self._candidate, config=self._config, machine=self._facts,
            findings=tuple(self._findings), commitment=bench.secret.commitment, key=bench.secret.key,
            artifact_identity=artifact.identity if artifact else None,
            build_cpu_seconds=artifact.cpu_seconds if artifact else None,
            declaration=dict(bench.declaration.declared), axes=dict(bench.timed.axes), audit=self._prepared.audit,
            baseline=self._prepared.baseline, correctness=correctness, timing=timing,
            isolation=Isolation.of(evidence.layers) if evidence and evidence.layers else None,
        )  # fmt: skip


_CLOCK_SLACK, _CLOCK_SLACK_NS = 1.05, 100_000
"""The two clocks are read some microseconds apart, and the kernel charges its own wake-ups to the worker."""
