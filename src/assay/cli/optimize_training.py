"""`assay optimize FILE.py --train`: a training step's parts, the whole step before and after, and its loss curves."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from assay.applied.compare import APPLIED, Timed
from assay.applied.curves import Curves, LearningConfig
from assay.applied.measured import compare_learning, time_steps
from assay.applied.training import load_step_kernels
from assay.cli.exits import Exit
from assay.cli.output import print_json
from assay.cli.watch import watching
from assay.engineer.optimize import OptimizeConfig, Optimized
from assay.engineer.places import bound_text
from assay.engineer.publishing import publish_found
from assay.engineer.training.parts import StepPart, optimize_step, step_parts, step_tasks
from assay.engineer.training.recipe import load_recipe
from assay.machine.cache_dirs import atomic_write
from assay.report.terminal import make_console
from assay.report.units import estimate_text


def optimize_training(
    path: Path, config: OptimizeConfig, learning: LearningConfig, runs: Path, *, resume: bool, as_json: bool
) -> Exit:
    """Optimise both parts, put them together, time and train, print. Returns the exit code."""
    recipe = load_recipe(path)
    console = make_console(stderr=as_json)
    rows: list[dict[str, Any]] = []
    certificates: list[dict[str, Any]] = []
    with watching(config.budget_s) as watcher:
        watcher("exporting the training step", 0.0)
        parts = step_parts(step_tasks(recipe))
        watcher.close()
        _print_parts(parts, learning, console)
        for part, found, folder in optimize_step(parts, config, runs, watcher, watch=watcher.event, resume=resume):
            published = publish_found(part.task.name, found, folder, runs, config.archive)
            rows.append(_row(part, found) | {"runs": [str(run.folder) for run in published.runs]})
            certificates += [published.certificate] if published.certificate is not None else []
            watcher.close()
            _print_part(part, found, rows[-1]["runs"], console)
        if rows[0]["speedup"] is None:
            console.print("\nThe step stays as it is: its gradients have no certified kernel.")
            if as_json:
                print_json({"parts": rows, "whole": None, "learning": None})
            return Exit.REJECTED
        watcher("timing the whole step before and after", 0.0)
        kernels = load_step_kernels(certificates)
        timed, curves = time_steps(recipe, kernels), compare_learning(recipe, kernels, learning, watcher)
    result = {"parts": rows, "whole": asdict(timed), "learning": curves.to_json()}
    where = runs / f"training-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{recipe.name}" / "training.json"
    atomic_write(where, json.dumps(result, indent=1).encode())
    if as_json:
        print_json(result)
    else:
        _print_whole(timed, curves, rows, where, console)
    return Exit.ACCEPTED if curves.not_inferior and timed.speedup[1] > 1 else Exit.REJECTED


def _row(part: StepPart, found: Optimized) -> dict[str, Any]:
    accepted = found.accepted
    return {"part": part.name, "share": part.share, "speedup": accepted.speedup if accepted else None}


def _print_parts(parts: tuple[StepPart, ...], learning: LearningConfig, console: Console) -> None:
    """What the search can bring at most, and what will be asked of the curves, before any search."""
    table = Table("part", "share of a step", "brings the step at most", box=None, padding=(0, 3, 0, 0))
    for part in parts:
        table.add_row(part.name, f"{part.share:.0%}", bound_text(part.share))
    console.print(table)
    console.print(
        f"Then {learning.seeds} times {learning.steps} steps: the loss may be {learning.margin:.1%} higher at most.",
        style="dim",
    )


def _print_part(part: StepPart, found: Optimized, runs: list[str], console: Console) -> None:
    console.print(f"\n{part.name}: {found.words}")
    console.print(f"  {found.search.ideas} kernels tried; {found.search.words}", style="dim")
    for run in runs:
        console.print(f"  {run}/page.html", style="dim", soft_wrap=True)


def _print_whole(timed: Timed, curves: Curves, rows: list[dict[str, Any]], where: Path, console: Console) -> None:
    others = ", ".join(f"{name} {ms:.3g} ms" for name, ms in timed.milliseconds.items() if name != APPLIED)
    console.print(
        f"\nThe whole step: {timed.milliseconds[APPLIED]:.3g} ms with the certified kernels; {others}: "
        f"{estimate_text(*timed.speedup)} over {timed.baseline}."
    )
    verdict = "not inferior" if curves.not_inferior else "NOT SHOWN to be as good"
    console.print(
        f"Loss curves: {verdict}: {curves.difference:+.3%} at the end, 95 % limit {curves.limit:+.3%}, "
        f"margin {curves.margin:+.1%}."
    )
    console.print("\nIn your code:  step = assay.apply_to_training(model, optimizer, loss, certificates, batch)  with")
    for row in rows:
        if row["speedup"] is not None:
            console.print(f"  {row['runs'][-1]}/certificate.json", soft_wrap=True)
    console.print(f"All of it: {where}", style="dim", soft_wrap=True)
