"""A training step's two parts as tasks, each optimised and judged, with their shares of the step's time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from assay.core.sources import Task
from assay.engineer.graph import Graph
from assay.engineer.optimize import OptimizeConfig, Optimized, optimize_in
from assay.engineer.proposers.generators import writer_for
from assay.engineer.tracing import Tracing
from assay.engineer.training.gradients import Gradients, convert_gradients
from assay.engineer.training.recipe import Recipe
from assay.engineer.training.update import Update, update_for
from assay.referee.bench import Progress
from assay.search import Event

_WARM_UP, _RUNS = 3, 9
_LEAST_BUDGET_SHARE = 0.25
"""Of the update: it needs few candidates, and a judgement takes its time whatever its share."""


@dataclass(frozen=True, slots=True)
class StepTasks:
    """What a step is made of: the gradients' task, the update's, and the gradients' share of the step's time."""

    gradients: Gradients
    update: Update
    gradient_share: float


@dataclass(frozen=True, slots=True)
class StepPart:
    """One of both: its task, its graph, its share of the time and of the budget."""

    name: str
    task: Task
    graph: Graph
    share: float
    budget_share: float

    def to_json(self, found: Optimized) -> dict[str, Any]:
        """What it is and what came of it, as of a model's part."""
        return {"places": [self.name], "share": self.share, **found.to_part_json()}


def step_tasks(recipe: Recipe) -> StepTasks:
    """The tasks of a recipe's step. Raises InputError where one of them cannot be made, with the reason."""
    model, optimizer = recipe.start(0)
    batch = recipe.get_batch(0)
    gradients = convert_gradients(model, recipe.loss, batch, f"{recipe.name}_gradients")
    update = update_for(gradients, model, optimizer)
    return StepTasks(gradients, update, _gradient_share(recipe, model, optimizer, batch))


def _gradient_share(recipe: Recipe, model: Any, optimizer: Any, batch: Sequence[Any]) -> float:
    shares = []
    for number in range(_WARM_UP + _RUNS):
        start = time.perf_counter()
        optimizer.zero_grad()
        recipe.loss(model, *batch).backward()
        middle = time.perf_counter()
        optimizer.step()
        end = time.perf_counter()
        if number >= _WARM_UP:
            shares.append((middle - start) / (end - start))
    return statistics.median(shares)


def step_parts(tasks: StepTasks) -> tuple[StepPart, StepPart]:
    """Both with their graphs. Raises InputError where one has none, or an operator without a generator."""
    made = []
    with Tracing() as tracing:
        for task in (tasks.gradients.converted.task, tasks.update.task):
            graph = tracing.trace(task)
            writer_for(graph, task.name)
            made.append((task, graph))
    update_budget = max(_LEAST_BUDGET_SHARE, 1 - tasks.gradient_share)
    (gradient, gradient_graph), (update, update_graph) = made
    return (
        StepPart("gradients", gradient, gradient_graph, tasks.gradient_share, 1 - update_budget),
        StepPart("update", update, update_graph, 1 - tasks.gradient_share, update_budget),
    )


def optimize_step(
    parts: Sequence[StepPart], config: OptimizeConfig, runs: Path, progress: Progress, *,
    watch: Callable[[Event], None] = lambda _event: None, resume: bool = False,
) -> Iterator[tuple[StepPart, Optimized, Path]]:  # fmt: skip
    """Optimise both, each as soon as it is done, with its folder. `resume` as in `optimize_parts`."""
    for part in parts:
        own = replace(config, budget_s=config.budget_s * part.budget_share)
        yield part, *optimize_in(runs, part.task, part.graph, own, watch, progress, resume=resume)
