"""The search's verifier: the referee at growing fidelities. It scores; nothing that it says is a verdict.

A screening times too few rounds for an interval, so its score is the ratio of medians of its own samples, net of the
shell. A full evaluation is a real judgement with a small budget. The certificate comes from another judgement still, in
fresh processes and with new secrets, once the search is over.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np

from assay.build.cpp import CppBuilder
from assay.core.config import Depth, JudgeConfig
from assay.core.sources import Language, Task
from assay.core.verdicts import Weight
from assay.errors import CandidateError
from assay.referee.bench import Progress
from assay.referee.gpu import DeviceBuilder, GpuRuntime
from assay.referee.judge import Referee, silent
from assay.referee.judgement import Judgement, Timing
from assay.referee.timing.samples import Side, Triples
from assay.search import Evaluation, Fidelity, Idea, Rung

RUNGS = (Rung(Fidelity.BUILD, 1.0), Rung(Fidelity.SCREEN, 0.25), Rung(Fidelity.FULL, 1.0))
"""A screening takes 3 s and a full evaluation 10: a quarter of what is right goes on."""
_FULL_BUDGET_S = 4.0
_NORMAL_95 = 1.96
"""Few rounds make Student's interval wider than this many standard errors, and the error then somewhat too large."""
_TRIES = 3
"""On a busy machine the few turns of a screening may all be preempted, which is not the candidate's failure."""
_NOT_TIMED = "every turn was preempted, or took no longer than the shell"


class Trials:
    """Evaluates ideas for one task. A context manager, which holds one referee for all depths."""

    def __init__(
        self, task: Task, threads: int, baseline: str, progress: Progress = silent, gpu: GpuRuntime | None = None
    ) -> None:
        """`progress` is told each judgement's stages; `gpu` is where device code runs."""
        self._task, self._progress = task, progress
        self._gpu = gpu
        self._builder: CppBuilder | DeviceBuilder = CppBuilder() if gpu is None else gpu.builder()
        full = JudgeConfig(budget_s=_FULL_BUDGET_S, threads=threads, baseline=baseline)
        self._configs = {
            Fidelity.SCREEN: replace(full, depth=Depth.SCREEN), Fidelity.SHORT: full, Fidelity.FULL: full
        }  # fmt: skip
        self._referee = Referee(full, gpu)

    def evaluate(self, idea: Idea, fidelity: Fidelity) -> Evaluation:
        """See `assay.search.Verifier`."""
        started = time.monotonic()
        if fidelity is Fidelity.BUILD:
            words = self._build_words(idea)
            return Evaluation(idea.identity, fidelity, not words, None, words or "builds", time.monotonic() - started)
        for _ in range(_TRIES):
            judgement = self._referee.judge(self._task, idea.candidate, self._progress, self._configs[fidelity])
            score, words = _score(judgement)
            if words != _NOT_TIMED:
                break
        return Evaluation(
            idea.identity, fidelity, score is not None, score, words, time.monotonic() - started,
            near_limit=_near_limit(judgement), error=_error(judgement) if score is not None else None,
        )  # fmt: skip

    def _build_words(self, idea: Idea) -> str:
        """The compiler's words, empty where it builds."""
        try:
            if isinstance(self._builder, CppBuilder):
                if idea.candidate.language is Language.CPP:
                    self._builder.build(idea.candidate)
            elif self._gpu is not None:
                self._builder.build(idea.candidate, self._gpu.gpu.capability)
        except CandidateError as error:
            return f"{error.what}: {error.value}"
        return ""

    def close(self) -> None:
        """End every process."""
        self._referee.close()
        self._builder.close()

    def __enter__(self) -> Trials:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _score(judgement: Judgement) -> tuple[float | None, str]:
    """The log speedup and a line about it; None with the reason for what is wrong or could not be timed."""
    wrong = [f for f in judgement.findings if f.weight is Weight.FATAL and f.code != "not-faster"]
    if wrong:
        return None, "; ".join(f"{finding.code}: {finding.message}" for finding in wrong)
    if judgement.timing is None:
        return None, "; ".join(finding.message for finding in judgement.findings) or "it was not timed"
    ratio = _ratio(judgement.timing)
    if ratio is None:
        return None, _NOT_TIMED
    return math.log(ratio), f"{ratio:.3f}x, {judgement.timing.claim.message}"


def _ratio(timing: Timing) -> float | None:
    """The claim's own estimate, else that of medians over turns."""
    if timing.claim.speedup is not None:
        return timing.claim.speedup.ratio
    triples = Triples.from_samples(timing.samples).timed()
    clean = ~triples.preempted()[:, [Side.BASELINE, Side.CANDIDATE]].any(axis=1)
    if not clean.any():
        return None
    net = triples.time_ns[clean] - [timing.overhead.of(side) for side in Side]
    if (net <= 0).any():
        return None
    return float(np.exp(np.median(np.log(net[:, Side.BASELINE] / net[:, Side.CANDIDATE]))))


def _error(judgement: Judgement) -> float | None:
    """The claim's own standard error, of an interval of 95 %; None where there is no interval."""
    speedup = judgement.timing.claim.speedup if judgement.timing else None
    return None if speedup is None else (speedup.upper - speedup.lower) / (2 * _NORMAL_95)


def _near_limit(judgement: Judgement) -> float | None:
    """The share of this machine's measured roof that the candidate's median call reaches; None where it is unknown."""
    point = judgement.timing.roofline.get("candidate") if judgement.timing else None
    return None if point is None else max(point.memory_fraction, point.compute_fraction or 0.0)
