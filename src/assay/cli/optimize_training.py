"""`assay optimize FILE.py --train`: a training step's parts, the whole step before and after, and its loss curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from assay.applied.compare import Timed
from assay.applied.curves import Curves, LearningConfig
from assay.applied.measured import compare_learning, time_steps
from assay.applied.training import load_step_kernels
from assay.cli.exits import Exit
from assay.cli.output import print_json
from assay.cli.watch import watching
from assay.engineer.optimize import OptimizeConfig
from assay.engineer.page.module import Subject
from assay.engineer.places import bound_text
from assay.engineer.publishing import Outcome, certificates_of, publish_part, publish_whole
from assay.engineer.training.parts import StepPart, optimize_step, step_parts, step_tasks
from assay.engineer.training.recipe import load_recipe
from assay.report.terminal import make_console


def optimize_training(
    path: Path, config: OptimizeConfig, learning: LearningConfig, runs: Path, *, resume: bool, as_json: bool
) -> Exit:
    """Optimise both parts, put them together, time and train, print. Returns the exit code."""
    recipe = load_recipe(path)
    console = make_console(stderr=as_json)
    outcomes: list[Outcome] = []
    with watching(config.budget_s) as watcher:
        watcher("exporting the training step", 0.0)
        parts = step_parts(step_tasks(recipe))
        watcher.close()
        _print_parts(parts, learning, console)
        for part, found, folder in optimize_step(parts, config, runs, watcher, watch=watcher.event, resume=resume):
            outcomes.append(publish_part(part, found, folder, runs, config.archive))
            watcher.close()
            _print_part(outcomes[-1], console)
        if outcomes[0].published.certificate is None:
            console.print("\nThe step stays as it is: its gradients have no certified kernel.")
            if as_json:
                print_json({"parts": [one.to_json() for one in outcomes], "whole": None, "learning": None})
            return Exit.REJECTED
        watcher("timing the whole step before and after", 0.0)
        kernels = load_step_kernels(certificates_of(outcomes))
        timed, curves = time_steps(recipe, kernels), compare_learning(recipe, kernels, learning, watcher)
    page, result = publish_whole(Subject(recipe.name, curves.to_json()), outcomes, {}, timed.to_json(), runs)
    if as_json:
        print_json(result)
    else:
        _print_whole(timed, curves, outcomes, console)
        console.print(f"\nThe step's page  {page}", soft_wrap=True)
    return Exit.ACCEPTED if curves.not_inferior and timed.speedup[1] > 1 else Exit.REJECTED


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


def _print_part(outcome: Outcome, console: Console) -> None:
    search = outcome.found.search
    console.print(f"\n{outcome.part.name}: {outcome.found.words}")
    console.print(f"  {search.ideas} kernels tried; {search.words}", style="dim")
    for run in outcome.published.runs:
        console.print(f"  {run.folder}/page.html", style="dim", soft_wrap=True)


def _print_whole(timed: Timed, curves: Curves, outcomes: Sequence[Outcome], console: Console) -> None:
    console.print(f"\nThe whole step: {timed.words('a step')}")
    verdict = "not inferior" if curves.not_inferior else "NOT SHOWN to be as good"
    console.print(
        f"Loss curves: {verdict}: {curves.difference:+.3%} at the end, 95 % limit {curves.limit:+.3%}, "
        f"margin {curves.margin:+.1%}."
    )
    console.print("\nIn your code:  step = assay.apply_to_training(model, optimizer, loss, certificates, batch)  with")
    for one in outcomes:
        if one.published.certificate is not None:
            console.print(f"  {one.published.runs[-1].certificate}", soft_wrap=True)
