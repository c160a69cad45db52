"""`assay optimize TASK`."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from assay.cli.exits import Exit
from assay.cli.output import (
    BaselineOption,
    FrozenFlag,
    JsonFlag,
    RunsOption,
    ScaledFlag,
    ThreadsOption,
    WorkloadOption,
    overrides,
    print_json,
)
from assay.core.sources import Task
from assay.engineer.optimize import OptimizeConfig, Optimized, optimize_task
from assay.errors import InputError
from assay.machine.cache_dirs import atomic_write
from assay.report.progress import ProgressLine
from assay.report.publish import publish
from assay.report.store import CERTIFICATE, Run
from assay.report.terminal import make_console, render_verdict
from assay.search import Event, EventKind, FileLedger
from assay.tasks.load import load_task

HELP = """Find a faster implementation of a task, and have the referee certify it.

TASK is what assay judge takes. C++ kernels are generated from the graph of the task's reference and searched for the
fastest schedule; no model, key or network is needed. The best is judged again in fresh processes: only that judgement
counts, and it is written to runs/ like any other, with the kernel's sources beside the search's journal.

Exit code: 0 a faster kernel is certified, 1 none was found, 2 bad input, 4 this machine lacks something, 70 a fault of
Assay's own.

Example: assay optimize layer_norm --budget 2m
"""

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h)?")
_UNITS = {None: 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def optimize(
    task: Annotated[str, typer.Argument(help="What to make faster.")],
    budget: Annotated[str, typer.Option("--budget", help="Time in all, such as 90s, 5m or 1h.")] = "5m",
    strategy: Annotated[
        str, typer.Option("--strategy", help="best_of_n, sequential, beam, evolution or mcts.")
    ] = "evolution",
    seed: Annotated[int, typer.Option("--seed", help="Of the search, not of the referee.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the last search for this task.")] = False,
    threads: ThreadsOption = 0,
    baseline: BaselineOption = "best",
    scaled: ScaledFlag = False,
    frozen_weights: FrozenFlag = False,
    workload: WorkloadOption = None,
    runs: RunsOption = Path("runs"),
    as_json: JsonFlag = False,
) -> None:
    """Search, judge, write the run, print."""
    try:
        config = OptimizeConfig(parse_duration(budget), strategy, seed, threads, baseline)
    except ValueError as error:
        raise InputError(str(error), value=f"--budget {budget}") from error
    profile = "scaled" if scaled else "full"
    loaded = load_task(task, profile=profile, workload=workload, overrides=overrides(frozen_weights))
    folder = search_folder(runs, loaded, resume=resume)
    with FileLedger(folder) as ledger, ProgressLine() as progress:
        found = optimize_task(loaded, config, ledger, Watch(progress, config.budget_s), progress)
    run = _saved(found, folder, runs)
    summary = found.to_json() | {"search": str(folder), "certificate": str(run.certificate) if run else None}
    if as_json:
        print_json(summary)
    else:
        _print(found, run, folder)
    raise typer.Exit(Exit.ACCEPTED if found.accepted else Exit.REJECTED)


def parse_duration(text: str) -> float:
    """Seconds of "90s", "5m", "1h" or a bare number. Raises InputError for anything else."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise InputError("not a duration", value=text, rule="a number with s, m or h, such as 90s or 5m")
    return float(match[1]) * _UNITS[match[2]]


def search_folder(runs: Path, task: Task, *, resume: bool) -> Path:
    """A new folder for a search's journal, or the last one of this task. Raises InputError where there is none."""
    mark = task.identity[:12]
    if not resume:
        return runs / f"search-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{mark}"
    found = sorted(runs.glob(f"search-*-{mark}"))
    if not found:
        raise InputError(
            "there is no search to go on with", value=task.name, rule=f"none for this task in {runs}",
            next_step="leave --resume out",
        )  # fmt: skip
    return found[-1]


class Watch:
    """Shows a search's events as progress: the best so far, what is being tried, the share of the budget."""

    def __init__(self, progress: ProgressLine, budget_s: float) -> None:
        self._progress, self._budget_s = progress, budget_s
        self._best, self._tried = 0.0, 0

    def __call__(self, event: Event) -> None:
        """One event."""
        if event.evaluation is not None and event.kind is EventKind.EVALUATED:
            self._tried += 1
            if event.evaluation.score is not None:
                self._best = max(self._best, event.evaluation.score)
        best = f"best so far {math.exp(self._best):.2f}x unconfirmed" if self._best else "nothing faster yet"
        self._progress(f"searching: {self._tried} tried, {best}", 0.0)


def _saved(found: Optimized, folder: Path, runs: Path) -> Run | None:
    """The last judgement as a run, the accepted kernel's sources, and the summary."""
    run = None
    for judgement in found.judgements:
        _, run = publish(judgement, runs)
        if judgement is found.accepted:
            for file in judgement.candidate.files:
                atomic_write(folder / "kernel" / file.path, file.text.encode())
    atomic_write(folder / "result.json", json.dumps(found.to_json(), indent=1).encode())
    return run


def _print(found: Optimized, run: Run | None, folder: Path) -> None:
    console = make_console()
    if run is not None:
        certificate: dict[str, Any] = json.loads((run.folder / CERTIFICATE).read_bytes())
        render_verdict(certificate, run.folder / CERTIFICATE, console)
    search = found.search
    wins = search.false_wins
    console.print(f"\nSearch       {search.ideas} ideas, {search.spent.evaluations} evaluations, {search.words}")
    console.print(f"Knockoffs    {wins.won} of {wins.tried} clones of a leader would have won by noise")
    if found.accepted is not None:
        console.print(f"Kernel       {folder / 'kernel'}")
    elif run is None:
        console.print("No candidate was right and timed in full; the journal says why.")
    console.print(f"Journal      {folder}")
