"""A task in, a certified faster kernel out: trace, search, and the referee's own judgement of the finalists.

The search's scores only choose who is judged. What is claimed is measured anew, in fresh processes and with new
secrets, so that the luck of having been chosen is worth nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from assay.core.config import JudgeConfig
from assay.core.sources import Candidate, Task
from assay.core.verdicts import Verdict, Weight
from assay.engineer.graph import Graph
from assay.engineer.proposers.making import Models, make_proposers
from assay.engineer.tracing import Tracing
from assay.engineer.trial import RUNGS, Trials
from assay.referee.bench import Progress
from assay.referee.gpu import GpuRuntime
from assay.referee.judge import Referee
from assay.referee.judgement import Judgement
from assay.referee.timing.decision import Outcome
from assay.report.units import estimate_text
from assay.search import (
    AnyOf,
    Budget,
    Event,
    ExpectedGain,
    FileLedger,
    Known,
    NearFloor,
    Plateau,
    Record,
    Result,
    Settings,
    make,
    thinking,
)

_PREPARING_S, _JUDGING_S = 35.0, 15.0
"""The last judgements' start-up, most of it torch.compile at work (10 to 45 s), and one finalist's own time."""
_SEARCH_BASELINE = "eager"
"""What the search's scores are about: which candidate is best does not depend on it, and it needs no compiling."""
_LONGER = 3.0
"""How much longer a second look measures: an interval then is little more than half as wide."""
_LEAST_SEARCH_SHARE = 0.5
_NEAR = 0.95
"""Of the measured roof: what is left is the noise of the roof's own measurement."""
_PLATEAU_IDEAS = 30
_LEAST_GAIN_PER_S = 1e-4
"""Log speedup a second: 0.6 % a minute."""


DEVICES = ("cpu", "cuda")


@dataclass(frozen=True, slots=True)
class OptimizeConfig:
    """Settings of one optimisation.

    Args:
        budget_s: seconds in all, the finalists' judgements included.
        strategy: a name of `assay.search.make`.
        seed: of the search; the referee's secrets are its own.
        threads: granted to both sides; 0 stands for all usable cores.
        baseline: what to beat, as for a judgement.
        finalists: how many candidates are judged at most, best first, until one is accepted.
        archive: where certified kernels are looked up and kept, a path or URL; empty for nowhere.
        models: language models that propose too, and what they may cost.
        proposers: who proposes, of `assay.engineer.proposers.making.NAMES`; empty for all that have what they need.
        device: "cpu", or "cuda" for this machine's GPU.

    Raises ValueError for settings that no run can honour.
    """

    budget_s: float = 300.0
    strategy: str = "evolution"
    seed: int = 0
    threads: int = 0
    baseline: str = "best"
    finalists: int = 2
    archive: str = ""
    models: Models = field(default_factory=Models)
    proposers: tuple[str, ...] = ()
    device: str = "cpu"

    def __post_init__(self) -> None:
        if not 0 < self.budget_s <= 86400 or self.finalists < 1:
            raise ValueError("the budget must be between 0 and 86400 seconds, and one finalist at least is judged")
        if self.device not in DEVICES:
            raise ValueError(f"the device is one of {', '.join(DEVICES)}, not {self.device!r}")


@dataclass(frozen=True, slots=True)
class Optimized:
    """What came of it. `judgements` are those of the finalists in the order judged; the last is accepted or none is."""

    search: Result
    judgements: tuple[Judgement, ...]
    graph: Graph
    records: tuple[Record, ...] = ()
    """Of the search's ledger."""

    @property
    def accepted(self) -> Judgement | None:
        """The judgement that ends in a certificate of a faster kernel."""
        return next((each for each in self.judgements if each.verdict is Verdict.ACCEPT), None)

    @property
    def words(self) -> str:
        """One line: the certified speedup, or that there is none, and why."""
        accepted = self.accepted
        if accepted is None or accepted.speedup is None or accepted.baseline is None:
            why = f"{self.judgements[-1].verdict.value}, {', '.join(self.reasons)}" if self.judgements else ""
            return f"nothing certified as faster: {why or 'no right candidate was found'}"
        return f"ACCEPT {estimate_text(*accepted.speedup)} over {accepted.baseline.variant}"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Codes of the last judgement's findings that forbid acceptance."""
        findings = self.judgements[-1].findings if self.judgements else ()
        return tuple(finding.code for finding in findings if finding.weight is not Weight.NOTE)

    def to_part_json(self) -> dict[str, Any]:
        """What became of a part of something larger, in short."""
        accepted = self.accepted
        return {"speedup": accepted.speedup if accepted else None, "ideas": self.search.ideas,
                "words": self.words, "reasons": list(self.reasons)}  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """What is worth keeping besides the journal and the certificates."""
        search, wins = self.search, self.search.false_wins
        return {
            "cause": search.cause.value,
            "words": search.words,
            "ideas": search.ideas,
            "duplicates": search.duplicates,
            "seconds": search.spent.seconds,
            "evaluations": search.spent.evaluations,
            "overhead_share": search.overhead_share,
            "knockoffs": {"run": wins.run, "tried": wins.tried, "won": wins.won},
            "history": [[each.seconds, each.ideas, each.score] for each in search.history],
            "judged": [
                {"candidate": j.candidate.identity, "verdict": j.verdict.value, "speedup": j.speedup}
                for j in self.judgements
            ],
            "operators": list(self.graph.signature),
        }  # fmt: skip


def new_search(runs: Path, task: Task) -> Path:
    """The folder of a search that begins now."""
    return runs / f"search-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{task.identity[:12]}"


def last_search(runs: Path, task: Task) -> Path | None:
    """The folder of the last search for this task, None where there is none."""
    return max(runs.glob(f"search-*-{task.identity[:12]}"), default=None)


def optimize_task(
    task: Task, config: OptimizeConfig, ledger: FileLedger, watch: Callable[[Event], None], progress: Progress,
    graph: Graph | None = None, gpu: GpuRuntime | None = None,
) -> Optimized:  # fmt: skip
    """Search and judge. `watch` sees every event of the search, `progress` the stages around it and in evaluations.

    `graph` is the task's where it has been traced already; `gpu` is where device code runs, without it the first here.

    Raises InputError where the task has no graph or no generator and for proposers that cannot be had, TaskError and
    MachineError as a judgement does.
    """
    if config.device == "cuda" and gpu is None:
        gpu = GpuRuntime.find()  # before anything else takes time
    if graph is None:
        progress("tracing the task", 0.0)
        with Tracing() as tracing:
            graph = tracing.trace(task)
    proposers = make_proposers(
        task, graph, config.archive, config.models, config.proposers, on_device=config.device == "cuda"
    )
    strategy = make(config.strategy)
    reserved = _PREPARING_S + config.finalists * _JUDGING_S
    seconds = max(config.budget_s - reserved, _LEAST_SEARCH_SHARE * config.budget_s)
    stop = AnyOf((NearFloor(_NEAR), Plateau(_PLATEAU_IDEAS), ExpectedGain(_LEAST_GAIN_PER_S)))
    settings = Settings(rungs=RUNGS, finalists=config.finalists)
    result: Result | None = None
    with Trials(task, config.threads, _SEARCH_BASELINE, progress, gpu) as trials:
        for event in thinking(
            task, proposers, trials, strategy, Budget(seconds=seconds), stop, ledger, config.seed, settings
        ):
            watch(event)
            result = event.result
    assert result is not None, "a search ends with its result"
    return Optimized(result, _judged(task, config, result, progress, gpu), graph, ledger.records)


def optimize_in(
    runs: Path, task: Task, graph: Graph, config: OptimizeConfig, watch: Callable[[Event], None], progress: Progress, *,
    resume: bool,
) -> tuple[Optimized, Path]:  # fmt: skip
    """`optimize_task` in a folder of its own in `runs`; with `resume` in that of the last search, if there is one."""
    folder = (last_search(runs, task) if resume else None) or new_search(runs, task)
    with FileLedger(folder) as ledger:
        return optimize_task(task, config, ledger, watch, progress, graph), folder


def _judged(
    task: Task, config: OptimizeConfig, result: Result, progress: Progress, gpu: GpuRuntime | None
) -> tuple[Judgement, ...]:
    """The finalists' judgements, best first, until one is accepted."""
    judgements: list[Judgement] = []
    finalists = finalists_of(result)
    if not finalists:
        return ()
    with Referee(JudgeConfig(threads=config.threads, baseline=config.baseline), gpu) as referee:
        for known in finalists:
            judgements += judge_finalist(referee, task, known.idea.candidate, progress)
            if judgements[-1].verdict is Verdict.ACCEPT:
                break
    return tuple(judgements)


def finalists_of(result: Result) -> tuple[Known, ...]:
    """Who is judged: the finalists, or the best of the screened where a short search timed nobody in full."""
    best = result.best
    screened = (best,) if best is not None and best.evaluation.score is not None else ()
    return result.finalists or screened


def judge_finalist(referee: Referee, task: Task, candidate: Candidate, progress: Progress) -> list[Judgement]:
    """A judgement, and a longer one where noise alone kept it from deciding. Both are told, whatever they say.

    A second look doubles the chance of a false claim, which is some 1e-5 (timing/decision.py).
    """
    first = referee.judge(task, candidate, progress)
    claim = first.timing.claim if first.timing else None
    undecided = first.verdict is Verdict.INCONCLUSIVE and claim is not None and claim.outcome is Outcome.UNDECIDED
    if not undecided or claim is None or claim.speedup is None or claim.speedup.lower <= 0:
        return [first]
    longer = replace(referee.config, budget_s=_LONGER * referee.config.budget_s)
    return [first, referee.judge(task, candidate, progress, longer)]
