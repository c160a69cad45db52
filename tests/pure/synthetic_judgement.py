"""Judgements with known content, for the tests of reports: real statistics on synthetic samples, no process started."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from synthetic_noise import QUIET, Noise, triples

from assay.core.config import JudgeConfig
from assay.core.dtypes import DType
from assay.core.sources import Candidate, Language, SourceFile, Task, TaskFormat
from assay.core.verdicts import Finding, Verdict, Weight
from assay.errors import Fault
from assay.machine.facts import Cache, MachineFacts
from assay.machine.floor import Work, estimate_floor, place_on_roofline
from assay.machine.peaks import Access, Bandwidth, Compute, Level, Peaks
from assay.referee.baseline import Baseline, Considered
from assay.referee.correctness.audit import Audit, Trivial
from assay.referee.judgement import Correctness, Judgement, Timing
from assay.referee.protocol.party import Program
from assay.referee.protocol.secret import Secret
from assay.referee.tiers import Isolation
from assay.referee.timing.decision import decide
from assay.referee.timing.pairing import Overhead
from assay.referee.timing.samples import Sample, Side, Triples
from assay.sandbox.confine import ALL_LAYERS

TASK_TEXT = '''"""Row softmax of a 1024 x 2048 matrix."""

import torch
from torch import nn

TASK = {"family": "softmax", "axes": {"rows": 1024, "cols": 2048}}


class Model(nn.Module):
    def forward(self, x):
        return torch.softmax(x, dim=-1)
'''
CANDIDATE_TEXT = """#include <assay/kernel.h>

extern "C" int assay_kernel(const assay_call* call) {
  for (int64_t row = 0; row < call->inputs[0].shape[0] && call->threads > 0; row++) softmax(row);
  return 0;
}
"""
FAMILIES = ("own", "large", "small", "negated", "shifted", "sparse", "ties", "rows")
SHAPES = ({"rows": 1, "cols": 1}, {"rows": 17, "cols": 2048}, {"rows": 31, "cols": 257}, {"rows": 1024, "cols": 1021})
OVERHEAD = Overhead(9_200.0, 1_100.0, 180.0, 60)
CALL_NS = 2.1e6


def facts() -> MachineFacts:
    return MachineFacts(
        machine="x86_64", cpu_model="Intel(R) Xeon(R) Processor", isa=("avx2", "fma", "avx512f"), cores=2,
        cpu_quota=None, memory_total_bytes=25_276_510_208, memory_available_bytes=20_000_000_000,
        caches=(Cache(1, "data", 49_152, 1), Cache(2, "unified", 2_097_152, 1), Cache(3, "unified", 272_629_760, 2)),
        kernel="6.18.44", hypervisor="kvm", container=None, huge_pages="madvise", glibc="2.36", python="3.11.7",
        torch="2.13.0+cpu", gxx="12.2.0", load_average=0.4, cpu_pressure=0.01,
        unknown={"cpu_quota": "no quota", "container": "none was seen"},
    )  # fmt: skip


def peaks() -> Peaks:
    rates = ((Level.L1, 846e9), (Level.L2, 278e9), (Level.L3, 68.2e9), (Level.DRAM, 13.9e9))
    return Peaks(
        facts().identity, 2,
        ((Level.L1, 98_304), (Level.L2, 4_194_304), (Level.L3, 8_388_608), (Level.DRAM, None)),
        tuple(Bandwidth(level, access, 2, 1 << 20, rate) for level, rate in rates for access in Access),
        (Compute(DType.FLOAT32, 2, 166e9), Compute(DType.FLOAT64, 2, 83e9)),
    )  # fmt: skip


def task() -> Task:
    return Task("softmax", TaskFormat.BUILTIN, (SourceFile("softmax.py", TASK_TEXT),), "softmax.py:Model")


def candidate(name: str = "softmax") -> Candidate:
    return Candidate(name, Language.CPP, (SourceFile("softmax.cpp", CANDIDATE_TEXT),), "assay_kernel", ("-O3",))


def samples(measured: Triples) -> tuple[Sample, ...]:
    """Triples as raw samples, two warm-up turns before each round."""
    found = []
    for number in dict.fromkeys(measured.round.tolist()):
        rows = np.flatnonzero(measured.round == number)
        for turn, row in enumerate([rows[0], rows[1], *rows]):
            found += [
                Sample(number, turn, side, round(float(measured.wall_ns[row, side]) * (1.4 if turn < 2 else 1)),
                       round(float(measured.cpu_ns[row, side])), round(float(measured.preempted_ns[row, side])),
                       turn < 2)
                for side in Side
            ]  # fmt: skip
    return tuple(found)


def timing(speedup: float, noise: Noise = QUIET, seed: int = 3, flops: float = 8.4e6) -> Timing:
    raw = samples(triples(np.random.default_rng(seed), 10, 24, noise, speedup, CALL_NS))
    measured = Triples.from_samples(raw)
    work = Work(8_388_608, 8_388_608, {DType.FLOAT32: flops} if flops else {})
    medians = np.median(measured.timed().wall_ns, axis=0)
    return Timing(
        raw, OVERHEAD, decide(measured, OVERHEAD), 10, 24, 61.2, estimate_floor(work, peaks()),
        {name: place_on_roofline(work, float(medians[side]), peaks())
         for name, side in (("baseline", Side.BASELINE), ("candidate", Side.CANDIDATE))},
    )  # fmt: skip


def accepted(speedup: float = 1.6) -> Judgement:
    """Right, and `speedup` times as fast on a quiet machine."""
    secret = Secret(bytes(range(32)))
    considered = (
        Considered("eager", 2.31e6), Considered("compile", CALL_NS),
        Considered("compile:max-autotune", None, "gives another result: output 0 at [3, 7]: got nan, wanted 0.25"),
    )  # fmt: skip
    answers = (
        Trivial("zeros", (), FAMILIES), Trivial("its input x", (), FAMILIES),
        Trivial("the output's mean everywhere", ("small",), tuple(f for f in FAMILIES if f != "small")),
        Trivial("the reference in half precision", (), FAMILIES),
    )  # fmt: skip
    return Judgement(
        Verdict.ACCEPT, task(), candidate(), JudgeConfig(), facts(), (), secret.commitment, secret.key,
        artifact_identity="3a6b1991e46c" * 5 + "0000", build_cpu_seconds=0.28,
        declaration={"family": "softmax", "axes": {"rows": 1024, "cols": 2048}}, axes={"rows": 1024, "cols": 2048},
        audit=Audit(answers), baseline=Baseline("compile", Program({}), considered, from_cache=False),
        correctness=Correctness(
            331, FAMILIES, {"integers": "the task is not declared linear"}, SHAPES,
            {f"{family}/0": 88.0 + 7 * index for index, family in enumerate(FAMILIES)}, "float64",
        ),
        timing=timing(speedup), isolation=Isolation.of(ALL_LAYERS), seconds=14.2,
    )  # fmt: skip


def rejected_as_wrong(name: str = "softmax") -> Judgement:
    """Wrong on a hidden family, before anything could be concluded about speed."""
    finding = Finding(
        "wrong-result", Weight.FATAL,
        "wrong on family 'shifted' at rows=1024, cols=2048: output 0 at [3, 7]: got nan, wanted 0.000123",
        Fault.CANDIDATE, {"family": "shifted", "seed": "1234567890123", "error_units": float("nan"), "where": (3, 7)},
    )  # fmt: skip
    base = accepted()
    assert base.correctness is not None
    tried = replace(base.correctness, verified_calls=9, families=("own", "shifted"), shapes=())
    return replace(
        base, verdict=Verdict.REJECT, candidate=candidate(name), findings=(finding,), correctness=tried, timing=None,
        isolation=Isolation.of(layer for layer in ALL_LAYERS if layer not in ("distinct-uid", "landlock")),
    )  # fmt: skip


def rejected_as_slow() -> Judgement:
    """Right, and proved not to be faster."""
    base = replace(accepted(), timing=timing(0.93))
    assert base.timing is not None
    finding = Finding("not-faster", Weight.FATAL, base.timing.claim.message)
    return replace(base, verdict=Verdict.REJECT, findings=(finding,))


def unbuilt() -> Judgement:
    """Does not compile: nothing else is known."""
    secret = Secret(bytes(32))
    words = "the candidate does not compile: softmax.cpp:4:3: error: 'softmax' was not declared in this scope"
    finding = Finding("does-not-build", Weight.FATAL, words, Fault.CANDIDATE)
    return Judgement(
        Verdict.REJECT, task(), candidate(), JudgeConfig(), facts(), (finding,), secret.commitment, secret.key,
        seconds=0.9,
    )  # fmt: skip


def undecided() -> Judgement:
    """Right, but the machine was too busy for a claim; the task counts no operations."""
    noise = Noise(process_sd=0.15, turn_sd=0.4, spike_chance=0.3, spike_size=0.5)
    base = replace(accepted(), timing=timing(1.3, noise, seed=5, flops=0.0))
    assert base.timing is not None
    claim = base.timing.claim
    assert claim.reason is not None, claim
    random = "forward draws random numbers; both sides get the same seed"
    notes = (
        Finding(claim.reason.value, Weight.DOUBT, claim.message, Fault.MACHINE),
        Finding("random-forward", Weight.NOTE, random, Fault.TASK),
    )  # fmt: skip
    return replace(base, verdict=Verdict.INCONCLUSIVE, findings=notes)


EVERY_KIND = {
    "accepted": accepted, "wrong": rejected_as_wrong, "slow": rejected_as_slow, "unbuilt": unbuilt,
    "undecided": undecided,
}  # fmt: skip
