"""What every verb shares: options with one meaning, and JSON on standard output."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from assay.core.config import Depth, JudgeConfig
from assay.errors import InputError

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
BudgetOption = Annotated[float, typer.Option("--budget", help="Seconds of measuring, start-up not included.")]
ThreadsOption = Annotated[int, typer.Option("--threads", help="Threads for both sides; 0: all usable cores.")]
BaselineOption = Annotated[
    str, typer.Option("--baseline", help="What to beat: best, eager, channels_last, compile, compile:max-autotune ...")
]
ScaledFlag = Annotated[bool, typer.Option("--scaled", help="KernelBench tasks: sizes that a small machine can run.")]
FrozenFlag = Annotated[bool, typer.Option("--frozen-weights", help="Allow candidates to fold or prepack weights.")]
WorkloadOption = Annotated[int | None, typer.Option("--workload", help="Which of the task's workloads is timed.")]
RunsOption = Annotated[Path, typer.Option("--runs", help="Where runs are kept.")]


def print_json(data: Mapping[str, Any]) -> None:
    """One object on standard output."""
    print(json.dumps(data, indent=2))


def make_config(budget: float, threads: int, baseline: str, *, screen: bool = False) -> JudgeConfig:
    """The frozen configuration; raises InputError for values that no run can honour."""
    depth = Depth.SCREEN if screen else Depth.FULL
    try:
        return JudgeConfig(depth=depth, budget_s=budget, threads=threads, baseline=baseline)
    except ValueError as error:
        raise InputError(str(error), value=f"--budget {budget} --threads {threads}") from error


def overrides(frozen_weights: bool) -> dict[str, Any]:
    """Changes to the task's own declarations that the command line asks for."""
    return {"weights": "frozen"} if frozen_weights else {}
