"""What certified kernels bring to a training step as a whole: its time beside PyTorch's, and its loss curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from assay.applied.compare import Timed, time_in_turns
from assay.applied.curves import Curves, LearningConfig, train_both
from assay.applied.kernel import CertifiedKernel
from assay.applied.training import TrainingStep, step_by_kernels
from assay.engineer.places import APPLIED, EAGER
from assay.engineer.training.recipe import Recipe
from assay.referee.bench import Progress

_SECONDS = 12.0


def time_steps(recipe: Recipe, kernels: Mapping[str, CertifiedKernel]) -> Timed:
    """Steps on one batch, in turns: PyTorch's own, under torch.compile, and by the kernels of `load_step_kernels`.

    Beside the compiled loss the optimiser runs as it is, and in its fused form where it has one: the baseline is the
    best of all that work. Raises as `apply_to_training` does.
    """
    batch = recipe.get_batch(0)
    certified = _by_kernels(recipe, kernels, 0)
    model, optimizer = recipe.start(0)
    sides: dict[str, Callable[[], object]] = {
        EAGER: lambda: recipe.step(model, optimizer, batch), APPLIED: lambda: certified(*batch)
    }  # fmt: skip
    sides |= {name: side for name, fused in (("torch.compile", False), ("torch.compile, fused update", True))
              if (side := _compiled(recipe, batch, fused=fused)) is not None}  # fmt: skip
    return time_in_turns(sides, _SECONDS)


def _by_kernels(recipe: Recipe, kernels: Mapping[str, CertifiedKernel], seed: int) -> TrainingStep:
    model, optimizer = recipe.start(seed)
    return step_by_kernels(model, optimizer, recipe.loss, kernels, recipe.get_batch(0))


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
    compiled = replace(recipe, loss=torch.compile(recipe.loss))
    try:
        compiled.step(model, optimizer, batch)
    except Exception:  # noqa: BLE001 - whatever a compiler raises on somebody's model
        return None
    return lambda: compiled.step(model, optimizer, batch)


_FUSABLE = ("lr", "betas", "eps", "weight_decay", "momentum", "dampening", "nesterov")


def compare_learning(
    recipe: Recipe, kernels: Mapping[str, CertifiedKernel], learning: LearningConfig, progress: Progress
) -> Curves:
    """Loss curves of both; see curves.py for what is concluded. Raises as `apply_to_training` does."""

    def original(seed: int) -> Callable[[Sequence[Any]], Any]:
        model, optimizer = recipe.start(seed)
        return lambda batch: recipe.step(model, optimizer, tuple(batch))

    def applied(seed: int) -> Callable[[Sequence[Any]], Any]:
        step = _by_kernels(recipe, kernels, seed)
        return lambda batch: step(*batch)

    return train_both(original, applied, recipe.get_batch, learning, progress)
