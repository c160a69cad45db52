"""`assay judge TASK CANDIDATE`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from assay.cli.exits import BY_VERDICT
from assay.cli.output import (
    BaselineOption,
    BudgetOption,
    FrozenFlag,
    JsonFlag,
    RunsOption,
    ScaledFlag,
    ThreadsOption,
    WorkloadOption,
    make_config,
    overrides,
    print_json,
)
from assay.referee.judge import Referee
from assay.report.progress import ProgressLine
from assay.report.publish import publish
from assay.report.store import CERTIFICATE
from assay.report.terminal import render_verdict
from assay.tasks.candidates import load_candidate
from assay.tasks.load import load_task

HELP = """Is this candidate right, and is it really faster?

TASK is a built-in task's name (see assay tasks), a Python file with an nn.Module and example inputs, a KernelBench
file, a robust-kbench folder or a Definition JSON. CANDIDATE is a C++ file with the entry of assay/kernel.h, a Python
file with ModelNew, CUDA or Triton kernels with a launch plan (docs/gpu.md; they need a GPU), or a folder of such files.

Prints the verdict; writes a signed certificate and a page to runs/. Exit code: 0 accepted, 1 rejected, 2 bad input,
3 inconclusive, 4 this machine lacks something, 70 a fault of Assay's own.

Example: assay judge softmax examples/softmax.cpp
"""


def judge(
    task: Annotated[str, typer.Argument(help="What to compute.")],
    candidate: Annotated[Path, typer.Argument(help="The proposed implementation.")],
    screen: Annotated[bool, typer.Option("--screen", help="A quick look of seconds that never accepts.")] = False,
    budget: BudgetOption = 12.0,
    threads: ThreadsOption = 0,
    baseline: BaselineOption = "best",
    scaled: ScaledFlag = False,
    frozen_weights: FrozenFlag = False,
    workload: WorkloadOption = None,
    runs: RunsOption = Path("runs"),
    as_json: JsonFlag = False,
) -> None:
    """Judge, write the run, print, exit with the verdict's code."""
    config = make_config(budget, threads, baseline, screen=screen)
    profile = "scaled" if scaled else "full"
    loaded = load_task(task, profile=profile, workload=workload, overrides=overrides(frozen_weights))
    proposed = load_candidate(candidate)
    with ProgressLine() as progress, Referee(config) as referee:
        judgement = referee.judge(loaded, proposed, progress)
    certificate, run = publish(judgement, runs)
    if as_json:
        print_json(certificate)
    else:
        render_verdict(certificate, run.folder / CERTIFICATE)
    raise typer.Exit(BY_VERDICT[judgement.verdict])
