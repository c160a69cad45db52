"""What certified kernels bring to a training step as a whole: its time beside PyTorch's, and its loss curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from assay.applied.compare import APPLIED, Timed, time_in_turns
from assay.applied.curves import Curves, train_both
from assay.applied.training import TrainingStep, apply_to_training
from assay.engineer.training.recipe import Recipe
from assay.referee.bench import Progress

_SECONDS = 12.0


def applied_step(recipe: Recipe, certificates: Sequence[Mapping[str, Any]], seed: int) -> TrainingStep:
    """A new model's step by the certificates. Raises as `apply_to_training` does."""
    model, optimizer = recipe.start(seed)
    return apply_to_training(model, optimizer, recipe.loss, certificates, recipe.get_batch(0))


def time_steps(recipe: Recipe, certificates: Sequence[Mapping[str, Any]]) -> Timed:
    """Steps on one batch, in turns: PyTorch's own, under torch.compile, and by the kernels.

    Beside the compiled loss the optimiser runs as it is, and in its fused form where it has one: the baseline is the
    best of all that work.
    """
    batch = recipe.get_batch(0)
    certified = applied_step(recipe, certificates, 0)
    model, optimizer = recipe.start(0)
    sides: dict[str, Callable[[], object]] = {
        "eager": lambda: recipe.step(model, optimizer, batch), APPLIED: lambda: certified(*batch)
    }  # fmt: skip
    sides |= {name: side for name, fused in (("torch.compile", False), ("torch.compile, fused update", True))
              if (side := _compiled(recipe, batch, fused=fused)) is not None}  # fmt: skip
    return time_in_turns(sides, _SECONDS)


def _compiled(recipe: Recipe, batch: tuple[Any, ...], *, fused: bool) -> Callable[[], object] | None:
    """A step with the loss compiled; None where that fails, which is the recipe's own affair."""
    import torch

    model, optimizer = recipe.start(0)
    if fused:
        group = {name: value for name, value in optimizer.param_groups[0].items() if name in _FUSABLE}
        try:
            optimizer = type(optimizer)(model.parameters(), **group, fused=True)
        except (RuntimeError, TypeError):
            return None
    compiled: Any = torch.compile(recipe.loss)

    def step() -> None:
        optimizer.zero_grad()
        compiled(model, *batch).backward()
        optimizer.step()

    try:
        step()
    except Exception:  # noqa: BLE001 - whatever a compiler raises on somebody's model
        return None
    return step


_FUSABLE = ("lr", "betas", "eps", "weight_decay", "momentum", "dampening", "nesterov")


def compare_learning(
    recipe: Recipe, certificates: Sequence[Mapping[str, Any]], *, steps: int, seeds: int, margin: float,
    progress: Progress,
) -> Curves:  # fmt: skip
    """Loss curves of both; see curves.py for what is concluded."""

    def original(seed: int) -> Callable[[Sequence[Any]], Any]:
        model, optimizer = recipe.start(seed)
        return lambda batch: recipe.step(model, optimizer, tuple(batch))

    def applied(seed: int) -> Callable[[Sequence[Any]], Any]:
        step = applied_step(recipe, certificates, seed)
        return lambda batch: step(*batch)

    return train_both(
        original, applied, recipe.get_batch, steps=steps, seeds=seeds, margin=margin, progress=progress
    )  # fmt: skip
