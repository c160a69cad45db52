"""`assay optimize TASK`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from assay.applied.curves import LearningConfig
from assay.cli.exits import Exit
from assay.cli.optimize_module import optimize_own_module
from assay.cli.optimize_training import optimize_training
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
from assay.cli.watch import watching
from assay.core.sources import Task
from assay.engineer.language.endpoint import Model
from assay.engineer.optimize import OptimizeConfig, Optimized, last_search, new_search, optimize_task
from assay.engineer.own_module import is_own_module
from assay.engineer.proposers.making import NAMES, Models, chosen_names
from assay.engineer.publishing import publish_found
from assay.errors import InputError
from assay.report.store import CERTIFICATE, PAGE, Run
from assay.report.terminal import make_console, render_verdict
from assay.search import FileLedger
from assay.tasks.load import load_task

HELP = """Find a faster implementation of a task, and have the referee certify it.

TASK is what assay judge takes, or FILE.py:Class for a module of your own: it is loaded here with the file's
get_inputs(), its parts are optimised by their share of the time, and the model with the certified kernels in it is
timed against what it was. C++ kernels are generated from the graph of the task's reference and searched for the
fastest schedule; no model, key or network is needed. The best is judged again in fresh processes: only that judgement
counts, and it is written to runs/ like any other, with the kernel's sources beside the search's journal.

Exit code: 0 a faster kernel is certified, 1 none was found, 2 bad input, 4 this machine lacks something, 70 a fault of
Assay's own.

Example: assay optimize layer_norm --budget 2m
Example: assay optimize softmax --device cuda --budget 2m
Example: assay optimize model.py:Model --budget 10m
Example: assay optimize train.py --train --budget 10m
Example: assay optimize softmax --proposers tuner,archive --archive kernels.db
Example: assay optimize gelu --llm http://127.0.0.1:8080/v1 --llm-model coder --llm-tokens 200000

A key, where the endpoint wants one, comes from the environment variable OPENAI_API_KEY; it is kept nowhere.
"""

_USUAL = LearningConfig()
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
    archive: Annotated[
        str, typer.Option("--archive", metavar="URL", help="Look certified kernels up there, and keep new ones.")
    ] = "",
    llm: Annotated[
        str, typer.Option("--llm", metavar="URL", help="OpenAI-compatible endpoint whose models propose kernels too.")
    ] = "",
    llm_model: Annotated[list[str] | None, typer.Option("--llm-model", help="A model there; repeat for more.")] = None,
    llm_schedules: Annotated[
        bool, typer.Option("--llm-schedules", help="Models choose schedules, which small ones can do.")
    ] = False,
    llm_tokens: Annotated[int | None, typer.Option("--llm-tokens", min=1, help="Most tokens, all models.")] = None,
    llm_answers: Annotated[
        Path | None, typer.Option("--llm-answers", help="Keep answers in this folder, and give them again.")
    ] = None,
    train: Annotated[bool, typer.Option("--train", help="FILE.py is a training: make its whole step faster.")] = False,
    steps: Annotated[int, typer.Option("--steps", help="With --train: of each loss curve.")] = _USUAL.steps,
    seeds: Annotated[int, typer.Option("--seeds", help="With --train: loss curves on either side.")] = _USUAL.seeds,
    margin: Annotated[
        float, typer.Option("--margin", help="With --train: how much higher the loss may be, relatively.")
    ] = _USUAL.margin,
    proposers: Annotated[
        str, typer.Option("--proposers", metavar="NAMES", help=f"Who proposes: {', '.join(NAMES)}; default all.")
    ] = "",
    device: Annotated[str, typer.Option("--device", help="cpu, or cuda for kernels on this machine's GPU.")] = "cpu",
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
        models = Models(
            tuple(Model(name, llm) for name in llm_model or ()), llm_schedules, llm_tokens, None, llm_answers
        )
        config = OptimizeConfig(
            parse_duration(budget), strategy, seed, threads, baseline,
            archive=archive, models=models, proposers=parse_names(proposers), device=device,
        )  # fmt: skip
    except ValueError as error:
        raise InputError(str(error), value=f"--budget {budget} --device {device} --llm {llm}") from error
    if bool(llm) != bool(llm_model):
        raise InputError("--llm and --llm-model go together", value=llm or ", ".join(llm_model or ()))
    chosen_names(config.proposers, archive, models)  # Before anything is traced.
    if device != "cpu" and (train or is_own_module(task)):
        raise InputError("on a GPU only tasks are optimised yet", value=task, next_step="leave --device out")
    if train:
        learning = LearningConfig(steps, seeds, margin)
        raise typer.Exit(optimize_training(Path(task), config, learning, runs, resume=resume, as_json=as_json))
    if is_own_module(task):
        raise typer.Exit(optimize_own_module(task, config, runs, resume=resume, as_json=as_json))
    profile = "scaled" if scaled else "full"
    loaded = load_task(task, profile=profile, workload=workload, overrides=overrides(frozen_weights))
    folder = search_folder(runs, loaded, resume=resume)
    with FileLedger(folder) as ledger, watching(config.budget_s) as watcher:
        found = optimize_task(loaded, config, ledger, watcher.event, watcher)
    published = publish_found(loaded.name, found, folder, runs, config.archive)
    run = published.runs[-1] if published.runs else None
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


def parse_names(text: str) -> tuple[str, ...]:
    """Names with commas between them; none for an empty text."""
    return tuple(name.strip() for name in text.split(",")) if text.strip() else ()


def search_folder(runs: Path, task: Task, *, resume: bool) -> Path:
    """A new folder for a search's journal, or the last one of this task. Raises InputError where there is none."""
    if not resume:
        return new_search(runs, task)
    found = last_search(runs, task)
    if found is None:
        raise InputError(
            "there is no search to go on with", value=task.name, rule=f"none for this task in {runs}",
            next_step="leave --resume out",
        )  # fmt: skip
    return found


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
    console.print(f"Search page  {folder / PAGE}")
