"""One judgement on a prepared task: plan, measurement, decision.

ACCEPT needs all of it: every output right, no doubt, and a speedup whose lower bound exceeds what the same code against
itself could fake in this very run. A fatal finding rejects; so does a proof that the candidate is not faster. Anything
else is INCONCLUSIVE, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from assay.build.artifact import Artifact
from assay.build.diagnosis import diagnose
from assay.core.config import Depth, JudgeConfig
from assay.core.sources import Candidate, Language
from assay.core.verdicts import Finding, Verdict, Weight
from assay.errors import CandidateError, Fault
from assay.launch.compiled import compiled, unpack
from assay.launch.plan import find_plan
from assay.launch.resolved import resolve
from assay.machine.facts import MachineFacts
from assay.machine.peaks import Peaks
from assay.referee.baseline import Baseline
from assay.referee.bench import Bench, Progress
from assay.referee.correctness.audit import Audit
from assay.referee.judgement import Correctness, Judgement, Timing
from assay.referee.measuring import Evidence, Measurement
from assay.referee.physics import check_clocks, check_device_clock, check_floor, roofline
from assay.referee.pilot import measure_costs
from assay.referee.protocol.party import Program
from assay.referee.protocol.shell_cost import CALLS, estimate_ns, null_programs
from assay.referee.protocol.warm_up import with_compile_cache
from assay.referee.tiers import Isolation
from assay.referee.timing.decision import Outcome, decide
from assay.referee.timing.pairing import Overhead, Refusal
from assay.referee.timing.planning import Plan
from assay.referee.timing.samples import Triples

_SCREEN_PLAN = Plan(rounds=2, turns=6, warm_up_turns=2, expected_s=1.0)
_UNKNOWN_CALL_NS = 1e6
_UNDECIDED_SHARE = 0.05
"""Of the candidate's outputs, how many may meet an input on which the reference is no judge."""
_TIMEOUT_FACTOR = 50
"""A call may take this many times the baseline's median before it counts as hanging."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What judging any candidate of one task needs. A screening has no audit; `peaks` may be unknown."""

    bench: Bench
    audit: Audit | None
    baseline: Baseline
    null: bytes
    peaks: Peaks | None

    @property
    def baseline_ns(self) -> float:
        """The baseline's median call when it was chosen."""
        chosen = [c.median_ns for c in self.baseline.considered if c.variant == self.baseline.variant]
        return chosen[0] or _UNKNOWN_CALL_NS if chosen else _UNKNOWN_CALL_NS

    @property
    def window_ns(self) -> float:
        """About what a timed window takes it."""
        return self.baseline_ns * self.bench.windowed.chain


class Judging:
    """One judgement on a prepared task."""

    def __init__(
        self, prepared: Prepared, config: JudgeConfig, facts: MachineFacts, candidate: Candidate,
        artifact: Artifact | None,
    ) -> None:  # fmt: skip
        self._prepared, self._bench = prepared, prepared.bench
        self._config, self._facts = config, facts
        self._candidate, self._artifact = candidate, artifact
        self._findings: list[Finding] = self._task_findings()

    def _task_findings(self) -> list[Finding]:
        findings = []
        audit = self._prepared.audit
        for trivial in audit.degenerate if audit else ():
            message = f"the task is degenerate: {trivial.answer} would pass on every family"
            findings.append(Finding("degenerate-task", Weight.DOUBT, message, Fault.TASK))
        bench = self._bench
        if bench.ill_conditioned:
            message = f"the task's own inputs decide nothing: {bench.ill_conditioned}"
            findings.append(Finding("ill-conditioned-task", Weight.DOUBT, message, Fault.TASK))
        if bench.timed.draws_random:
            message = "forward draws random numbers; both sides get the same seed before each call"
            findings.append(Finding("random-forward", Weight.NOTE, message, Fault.TASK))
        if bench.declaration.training_batch_norm:
            message = "batch normalisation runs in training mode; its running statistics are not compared"
            findings.append(Finding("training-batch-norm", Weight.NOTE, message, Fault.TASK))
        if bench.declaration.declared.get("jumps"):
            message = "outputs jump where a comparison flips; inputs are drawn so that rounding decides none of them"
            findings.append(Finding("outputs-jump", Weight.NOTE, message, Fault.TASK))
        if bench.timed.why_no_float64:
            message = f"no float64 oracle ({bench.timed.why_no_float64}); the reference's own type serves"
            findings.append(Finding("no-float64-oracle", Weight.NOTE, message, Fault.TASK))
        return findings

    def run(self, progress: Progress) -> Judgement:
        """Plan, measurement, decision."""
        bench = self._bench
        if bench.timed.draws_random and self._candidate.language is not Language.PYTHON:
            message = "the task draws random numbers from torch's generator, which native code cannot reproduce"
            self._findings.append(Finding("needs-torch-generator", Weight.FATAL, message, Fault.CANDIDATE))
            return self._judgement(Verdict.REJECT, None, None)
        if not self._launchable():
            return self._judgement(Verdict.REJECT, None, None)
        nulls = null_programs(bench, self._prepared.null, native=self._candidate.language is not Language.PYTHON)
        self._choose_window(nulls[0])
        program = bench.candidate_program(self._candidate, self._artifact.content if self._artifact else None)
        program = with_compile_cache(bench, self._candidate, program)
        measurement = Measurement(bench, self._prepared.baseline.program, program, nulls, self._prepared.window_ns)
        chosen, call_ns = self._plan(measurement, len(nulls))
        measurement.call_timeout_s = max(self._config.call_timeout_s, _TIMEOUT_FACTOR * call_ns / 1e9)
        evidence = measurement.run(chosen.rounds, chosen.turns, chosen.warm_up_turns, progress)
        self._findings += evidence.findings + self._device_findings(evidence)
        correctness = self._correctness(evidence)
        if bench.undecided_calls > _UNDECIDED_SHARE * evidence.verified_calls:
            share = f"{bench.undecided_calls} of {evidence.verified_calls}"
            message = f"on {share} inputs rounding decides what the reference gives"
            self._findings.append(Finding("undecided-calls", Weight.DOUBT, message, Fault.TASK))
        if evidence.failed or evidence.overhead is None:
            verdict = Verdict.REJECT if evidence.failed else Verdict.INCONCLUSIVE
            return self._judgement(verdict, correctness, None, evidence)
        timing = self._timing(evidence, evidence.overhead, chosen)
        return self._judgement(self._verdict(timing), correctness, timing, evidence)

    def _choose_window(self, baseline_null: Program) -> None:
        """Decide how many calls one timed window holds."""
        bench = self._bench
        bench.windowed = bench.timed
        if not bench.may_chain:
            return
        bench.set_chain(self._prepared.baseline_ns - estimate_ns(bench, baseline_null))
        if bench.windowed.chain > 1:
            message = (
                f"one timed window is a chain of {bench.windowed.chain} calls, each input decided by the last output"
            )
            self._findings.append(Finding("chained-calls", Weight.NOTE, message))

    def _plan(self, measurement: Measurement, null_kernels: int) -> tuple[Plan, float]:
        """Rounds and turns, and what a timed window takes the baseline at this moment."""
        prepared = self._prepared
        null_calls = null_kernels * CALLS[self._config.depth]
        costs = measure_costs(
            self._bench, prepared.baseline.program, prepared.window_ns, measurement.agenda.hidden_turns, null_calls
        )
        if self._config.depth is Depth.SCREEN:
            return _SCREEN_PLAN, costs.call_ns
        found = costs.plan(self._config.budget_s)
        if isinstance(found, Refusal):
            self._findings.append(Finding("budget-too-small", Weight.DOUBT, found.message, Fault.USER))
            return _SCREEN_PLAN, costs.call_ns
        return found, costs.call_ns

    def _launchable(self) -> bool:
        """Whether a device candidate's launches fit the GPU at the timed sizes; what its resources mean is noted."""
        bench, artifact = self._bench, self._artifact
        if bench.gpu is None or artifact is None:
            return True
        timed, capability = bench.timed, bench.gpu.gpu.capability
        try:
            plan = resolve(find_plan(self._candidate.files), timed.inputs.specs, bench.declaration.weights,
                           timed.outputs, timed.scalars, capability)  # fmt: skip
            found = diagnose(compiled(plan, unpack(artifact.content)[1]), artifact.kernels, capability)
        except CandidateError as error:
            found = (Finding("refused", Weight.FATAL, f"{error.what}: {error.value}", Fault.CANDIDATE),)
        self._findings += found
        return all(finding.weight is not Weight.FATAL for finding in found)

    def _device_findings(self, evidence: Evidence) -> list[Finding]:
        """What this GPU lets kernels do beside their work."""
        if self._bench.gpu is None or not evidence.remark:
            return []
        message = f"{evidence.remark}; only the wall clock outside bounds what such a kernel could forge"
        return [Finding("device-reaches-host", Weight.NOTE, message, Fault.MACHINE)]

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

    def _timing(self, evidence: Evidence, overhead: Overhead, chosen: Plan) -> Timing:
        triples = Triples.from_samples(evidence.samples)
        timed, layout, peaks = triples.timed(), self._bench.windowed, self._prepared.peaks
        floor, too_fast = check_floor(timed, layout, peaks)
        threads = self._bench.resources.threads
        found = (too_fast, check_clocks(timed, threads), check_device_clock(timed, evidence.outside_ns))
        self._findings += [finding for finding in found if finding is not None]
        return Timing(
            tuple(evidence.samples), overhead, decide(triples, overhead), chosen.rounds, chosen.turns,
            evidence.spawn_ms, floor, roofline(timed, overhead, layout, peaks),
        )  # fmt: skip

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

    def _device(self) -> dict[str, Any] | None:
        """The GPU and what each kernel takes of it; None without one."""
        gpu, artifact = self._bench.gpu, self._artifact
        if gpu is None or artifact is None:
            return None
        kernels = [kernel.to_json() for kernel in artifact.kernels]
        return {"gpu": gpu.to_json(), "target": artifact.target, "kernels": kernels}

    def _judgement(
        self, verdict: Verdict, correctness: Correctness | None, timing: Timing | None, evidence: Evidence | None = None
    ) -> Judgement:
        bench, artifact = self._bench, self._artifact
        return Judgement(
            verdict=verdict, task=bench.task, candidate=self._candidate, config=self._config, machine=self._facts,
            findings=tuple(self._findings), commitment=bench.secret.commitment, key=bench.secret.key,
            artifact_identity=artifact.identity if artifact else None,
            build_cpu_seconds=artifact.cpu_seconds if artifact else None, device=self._device(),
            declaration=dict(bench.declaration.declared), axes=dict(bench.timed.axes), audit=self._prepared.audit,
            baseline=self._prepared.baseline, correctness=correctness, timing=timing,
            isolation=Isolation.of(evidence.layers) if evidence and evidence.layers else None,
        )  # fmt: skip
