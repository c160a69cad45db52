"""The judge's front: it holds the sandbox and each task's preparation, and gives one verdict per candidate."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

from assay.build.artifact import Artifact
from assay.build.cpp import CppBuilder
from assay.build.device import DeviceCompiler
from assay.core.config import Depth, JudgeConfig
from assay.core.sources import Candidate, Language, Task
from assay.core.tensors import TensorSpec
from assay.core.verdicts import Finding, Verdict, Weight
from assay.errors import CandidateError, Fault, MachineError
from assay.machine.cache_dirs import find_dirs
from assay.machine.facts import MachineFacts
from assay.machine.measure import find_peaks, load_peaks
from assay.machine.peaks import Peaks
from assay.machine.survey import read_facts
from assay.referee.baseline import find_baseline
from assay.referee.bench import Bench, Progress, Resources
from assay.referee.correctness.audit import Audit, audit_task
from assay.referee.gpu import DeviceBuilder, GpuRuntime
from assay.referee.gpu_peaks import find_gpu_peaks
from assay.referee.judgement import Judgement
from assay.referee.judging import Judging, Prepared
from assay.referee.measuring import Measurement
from assay.referee.pilot import measure_costs
from assay.referee.protocol.layout import Layout
from assay.referee.protocol.secret import Secret
from assay.referee.protocol.shell_cost import CALLS, NULL_DEVICE_KERNEL, NULL_KERNEL, null_programs
from assay.referee.protocol.warm_up import with_compile_cache
from assay.referee.tiers import Isolation
from assay.referee.timing.pairing import Overhead, Refusal
from assay.referee.timing.planning import detectable_speedup
from assay.referee.timing.samples import Triples
from assay.referee.witness import repeat_witness, task_of_witness
from assay.referee.zygotes import Zygotes

_MOST_BENCHES = 4
"""Benches held at a time; each has an oracle of 250 MB and its task's shared memory."""


def silent(_what: str, _share: float) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class SelfMeasurement:
    """What a machine can prove. `smallest_speedup` is 1.02 for 2 %, or says why there is none."""

    smallest_speedup: float | Refusal
    overhead: Overhead | None
    spawn_ms: float | None
    isolation: Isolation | None


class Referee:
    """Judges candidates; a context manager that holds the sandbox, and one bench per task seen.

    Raises MachineError where this machine cannot judge at all, TaskError where a task cannot be a reference.
    """

    def __init__(self, config: JudgeConfig | None = None, gpu: GpuRuntime | None = None) -> None:
        """`gpu` is where device code runs; without it the first one here is looked for when it is needed."""
        self.config = config or JudgeConfig()
        self.facts: MachineFacts = read_facts()
        self.resources = Resources.of(self.config, self.facts)
        self._zygotes = Zygotes(self.resources.threads)
        self._builder: CppBuilder | None = None
        self._gpu = gpu
        self._device_builder: DeviceBuilder | None = None
        self._prepared: dict[tuple[str, bool], Prepared] = {}
        self._peaks: Peaks | None = None

    def judge(
        self, task: Task, candidate: Candidate, progress: Progress = silent, config: JudgeConfig | None = None
    ) -> Judgement:
        """One verdict. Bad candidates are verdicts, never exceptions.

        `config` holds for this judgement alone: another depth, budget or timeout on the same preparation. Raises
        ValueError where it would need another: a full judgement by a referee of screenings, other threads, memory or
        baseline.
        """
        config = self._compatible(config)
        started = time.monotonic()
        try:
            progress("building the candidate", 0.0)
            artifact = self._build(candidate)
        except CandidateError as error:
            return self._unbuilt(task, candidate, error, config, time.monotonic() - started)
        prepared = self._prepare(task, progress, on_device=candidate.language.on_device)
        prepared.bench.renew(config.depth)
        judgement = Judging(prepared, config, self.facts, candidate, artifact).run(progress)
        return replace(judgement, seconds=time.monotonic() - started)

    def _compatible(self, config: JudgeConfig | None) -> JudgeConfig:
        if config is None:
            return self.config
        own = replace(self.config, depth=config.depth, budget_s=config.budget_s, call_timeout_s=config.call_timeout_s)
        if config != own or (config.depth is Depth.FULL and self.config.depth is Depth.SCREEN):
            raise ValueError(f"this referee is prepared for {self.config}, which does not serve {config}")
        return config

    def audit(self, task: Task, progress: Progress = silent) -> Audit:
        """Whether a task is worth optimising: would a trivial answer pass?"""
        with Bench(task, self.config, self.resources, self._zygotes, Secret()) as bench:
            bench.calibrate(progress)
            return audit_task(bench)

    def layout(self, task: Task) -> tuple[Layout, tuple[TensorSpec, ...]]:
        """The task's arguments and outputs at its timed sizes, and its weights."""
        with Bench(task, self.config, self.resources, self._zygotes, Secret()) as bench:
            return bench.timed, tuple(bench.declaration.weights)

    def repeat(self, task: Task, candidate: Candidate, witness: Mapping[str, Any]) -> str:
        """Try one recorded wrong output again; what is wrong about it here, empty where it is right.

        `witness` is from `find_witness`. Raises CandidateError where the candidate does not build.
        """
        artifact = self._build(candidate)
        sized, seed = task_of_witness(task, witness), int(witness["construction_seed"])
        gpu = self._runtime() if candidate.language.on_device else None
        with Bench(sized, self.config, self.resources, self._zygotes, Secret(), seed, gpu) as bench:
            bench.calibrate(silent)
            program = bench.candidate_program(candidate, artifact.content if artifact else None)
            return repeat_witness(bench, with_compile_cache(bench, candidate, program), witness)

    def self_measurement(self, task: Task, progress: Progress = silent) -> SelfMeasurement:
        """The task's reference against itself: what this machine could prove now."""
        prepared = self._prepare(task, progress)
        bench, program = prepared.bench, prepared.baseline.program
        nulls = null_programs(bench, prepared.null, native=False)
        measurement = Measurement(bench, program, program, nulls, prepared.window_ns, self.config.call_timeout_s)
        hidden_turns, null_calls = measurement.agenda.hidden_turns, CALLS[self.config.depth]
        found = measure_costs(bench, program, prepared.window_ns, hidden_turns, null_calls).plan(self.config.budget_s)
        if isinstance(found, Refusal):
            return SelfMeasurement(found, None, None, None)
        evidence = measurement.run(found.rounds, found.turns, found.warm_up_turns, progress)
        overhead = evidence.overhead
        if overhead is None:
            words = "; ".join(finding.message for finding in evidence.findings)
            raise MachineError("the reference could not be timed against itself", value=words)
        smallest = detectable_speedup(Triples.from_samples(evidence.samples), overhead)
        return SelfMeasurement(smallest, overhead, evidence.spawn_ms, Isolation.of(evidence.layers))

    def isolation(self) -> Isolation:
        """The layers that hold in a real confined child on this machine."""
        child = self._zygotes.plain.spawn("assay.referee.processes.worker:rest", {})
        try:
            return Isolation.of(child.layers)
        finally:
            child.kill()

    def _build(self, candidate: Candidate) -> Artifact | None:
        if candidate.language is Language.CPP:
            return self._cpp().build(candidate)
        return self._on_device(candidate) if candidate.language.on_device else None

    def _on_device(self, candidate: Candidate) -> Artifact:
        try:
            gpu = self._runtime()
        except MachineError:
            with DeviceCompiler() as builder:  # what does not compile is rejected, with or without a GPU
                builder.build(candidate)
            raise
        if self._device_builder is None:
            self._device_builder = gpu.builder()
        return self._device_builder.build(candidate, gpu.gpu.capability)

    def _runtime(self) -> GpuRuntime:
        if self._gpu is None:
            self._gpu = GpuRuntime.find()
        self._zygotes.gpu = self._gpu
        return self._gpu

    def _cpp(self) -> CppBuilder:
        if self._builder is None:
            self._builder = CppBuilder()
        return self._builder

    def _prepare(self, task: Task, progress: Progress, *, on_device: bool = False) -> Prepared:
        key = (task.identity, on_device)
        if key not in self._prepared:
            while len(self._prepared) >= _MOST_BENCHES:
                self._prepared.pop(next(iter(self._prepared))).bench.close()
            progress("starting the sandbox", 0.0)
            gpu = self._runtime() if on_device else None
            bench = Bench(task, self.config, self.resources, self._zygotes, Secret(), gpu=gpu)
            try:
                self._prepared[key] = self._calibrated(bench, progress)
            except BaseException:
                bench.close()
                raise
        return self._prepared[key]

    def _calibrated(self, bench: Bench, progress: Progress) -> Prepared:
        bench.calibrate(progress)
        audit = None
        if self.config.depth is Depth.FULL:
            progress("auditing the task", 0.0)
            audit = audit_task(bench)
        versions = f"torch {self.facts.torch} python {self.facts.python}"
        baseline = find_baseline(bench, self.facts.identity, versions, progress)
        if bench.gpu is not None:
            null = self._on_device(NULL_DEVICE_KERNEL).content
            return Prepared(bench, audit, baseline, null, self._gpu_peaks(bench.gpu, progress))
        null = self._cpp().build(NULL_KERNEL).content
        return Prepared(bench, audit, baseline, null, self._known_peaks(progress))

    def _gpu_peaks(self, gpu: GpuRuntime, progress: Progress) -> Peaks | None:
        """The GPU's peaks; None for a screening's haste, and where they cannot be measured."""
        if self.config.depth is not Depth.FULL or self._device_builder is None:
            return None
        progress("measuring the GPU's peaks", 0.0)
        with contextlib.suppress(MachineError, CandidateError):
            return find_gpu_peaks(self._zygotes, gpu, self._device_builder, gpu.peak_sizes)
        return None

    def _known_peaks(self, progress: Progress) -> Peaks | None:
        """This machine's peaks, measured once; None where it is too busy for that, or for a screening's haste."""
        if self._peaks is None:
            self._peaks = load_peaks(self.facts, find_dirs())
        if self._peaks is None and self.config.depth is Depth.FULL:
            progress("measuring this machine's peaks", 0.0)
            with contextlib.suppress(MachineError):
                self._peaks = find_peaks(self.facts, find_dirs())
        return self._peaks

    def _unbuilt(
        self, task: Task, candidate: Candidate, error: CandidateError, config: JudgeConfig, seconds: float
    ) -> Judgement:
        finding = Finding("does-not-build", Weight.FATAL, f"{error.what}: {error.value}", Fault.CANDIDATE)
        secret = Secret()
        return Judgement(
            Verdict.REJECT, task, candidate, config, self.facts, (finding,), secret.commitment, secret.key,
            seconds=seconds,
        )  # fmt: skip

    def close(self) -> None:
        """End every process."""
        for prepared in self._prepared.values():
            prepared.bench.close()
        self._prepared = {}
        if self._builder is not None:
            self._builder.close()
        if self._device_builder is not None:
            self._device_builder.close()
        self._zygotes.close()

    def __enter__(self) -> Referee:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
