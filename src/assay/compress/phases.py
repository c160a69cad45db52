"""One phase of one seed's training, which goes on where a killed one stopped."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from assay.compress.states import State, States
from assay.core.own_file import words_of
from assay.engineer.training.recipe import Recipe, plain_step
from assay.errors import InputError

_SHOWN = 20
"""Steps whose mean loss is shown."""

Told = Callable[[int, float], None]
"""Called after each step with the steps done and the mean of the last losses."""


def nothing(_model: nn.Module, _optimizer: torch.optim.Optimizer, _step: int) -> None:
    """What happens before a step of a model that stays as it is."""


@dataclass(frozen=True, slots=True)
class Phase:
    """What is trained.

    Args:
        name: of its state.
        seed: of torch's random numbers when it begins.
        make: gives the model as it is before the first step.
        steps: how many.
        first_batch: the number of the first step's batch.
        before_step: may change the model before a step.
        loss: `loss(model, *batch)`.
    """

    name: str
    seed: int
    make: Callable[[], nn.Module]
    steps: int
    first_batch: int
    loss: Callable[..., Any]
    before_step: Callable[[nn.Module, torch.optim.Optimizer, int], None] = nothing


@dataclass(frozen=True, slots=True)
class Trained:
    """A phase that is done."""

    model: nn.Module
    losses: list[float]


def train(phase: Phase, recipe: Recipe, states: States, told: Told, interval_s: float) -> Trained:
    """Train a phase to its end, from its last state where there is one. Optimiser and scheduler are new ones.

    A state is written at the end, and before it whenever `interval_s` seconds are over.

    Raises InputError for a step that fails and a loss that is not finite, MachineError where states cannot be written.
    """
    model, optimizer, scheduler, losses = _begin(phase, recipe, states.read(phase.name))
    written = time.monotonic()
    for step in range(len(losses), phase.steps):
        losses.append(_step(phase, recipe, model, optimizer, scheduler, step))
        done = step + 1 == phase.steps
        if done or time.monotonic() - written >= interval_s:
            states.write(phase.name, State(model.state_dict(), None if done else optimizer.state_dict(), losses))
            written = time.monotonic()
        told(step + 1, math.fsum(losses[-_SHOWN:]) / len(losses[-_SHOWN:]))
    return Trained(model, losses)


def _begin(
    phase: Phase, recipe: Recipe, state: State | None
) -> tuple[nn.Module, torch.optim.Optimizer, Any, list[float]]:  # fmt: skip
    torch.manual_seed(phase.seed)
    model = phase.make().train()
    if state is None:
        return model, *_scheduled(recipe, model, phase.steps, 0), []
    try:
        model.load_state_dict(state.model)
        optimizer, scheduler = _scheduled(recipe, model, phase.steps, len(state.losses))
        if state.optimizer is not None:
            optimizer.load_state_dict(dict(state.optimizer))
    except (RuntimeError, ValueError, KeyError) as error:
        raise InputError("the state of a training does not fit the model", value=words_of(error), rule=phase.name,
                         next_step="go on with the same training file, or choose another -o") from error  # fmt: skip
    torch.set_rng_state(state.random)
    return model, optimizer, scheduler, state.losses


def _scheduled(recipe: Recipe, model: nn.Module, steps: int, done: int) -> tuple[torch.optim.Optimizer, Any]:
    """A new optimiser, and its scheduler after the steps that are done: it counts them, and looks at nothing else."""
    optimizer = recipe.make_optimizer(model)
    if recipe.make_scheduler is None:
        return optimizer, None
    try:
        scheduler = recipe.make_scheduler(optimizer, steps)
        if not callable(scheduler.step):
            raise TypeError("its step is no function")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a scheduler wants the optimiser to take its step first
            for _ in range(done):
                scheduler.step()
    except (RuntimeError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise InputError("make_scheduler fails", value=words_of(error), rule="make_scheduler(optimizer, steps) returns "
                         "a scheduler of torch.optim.lr_scheduler whose step() takes nothing",
                         next_step="see docs/compress.md") from error  # fmt: skip
    return optimizer, scheduler


def _step(
    phase: Phase, recipe: Recipe, model: nn.Module, optimizer: torch.optim.Optimizer, scheduler: Any, step: int
) -> float:
    try:
        phase.before_step(model, optimizer, step)
        found = float(plain_step(phase.loss, model, optimizer, recipe.get_batch(phase.first_batch + step)))
        if scheduler is not None:
            scheduler.step()
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
        raise InputError("a training step fails", value=f"{phase.name}, step {step}: {words_of(error)}",
                         rule="loss and optimiser serve the converted model too",
                         next_step="see docs/compress.md") from error  # fmt: skip
    if not math.isfinite(found):
        raise InputError(
            "the training diverges", value=f"{phase.name}, step {step}: the loss is {found}",
            rule="every loss is finite", next_step="lower the learning rate in make_optimizer",
        )  # fmt: skip
    return found
