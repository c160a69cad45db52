"""Single weights go while the model trains, and stay at zero; masks are in the training's state, not in the model's
forward pass.

Magnitude prunes in steps (`schedule.py`); every other method of `assay.pruning` decides once, before the first step,
from the dense model and batches of the training.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from assay.checkpoints import Conversion
from assay.checkpoints.conversions import pruned
from assay.compress.choosing import Choice, Layer, check_patterns, is_named
from assay.compress.finishing import Finisher
from assay.compress.method import Converter
from assay.compress.schedule import Schedule
from assay.compress.settings import SCOPES, Prune
from assay.engineer.training.recipe import Recipe
from assay.errors import InputError
from assay.pruning import Data, Masked, full_mask
from assay.pruning.methods.sparsegpt import Sparsegpt, reconstruct
from assay.pruning.registry import find_method, make_hparams
from assay.pruning.weights import LAYERS, prunable, weight_name

GRADUAL = "magnitude"
"""The method that goes in steps: all that it needs is the weights."""
_KEPT = "{}_kept"
"""The buffer beside a weight that holds its mask while the model trains."""


class WeightPruner(Converter):
    """What is done to a model on the way to one with single weights gone.

    Args:
        method: how sparse, and how weights are chosen.
        choice: the layers.
        recipe: the training, for methods that learn from its batches.
        steps: of the phase.
        finisher: makes of a model with zeros one without them.
    """

    def __init__(self, method: Prune, choice: Choice, recipe: Recipe, steps: int, finisher: Finisher) -> None:
        self._method, self._finisher = method, finisher
        self._names = [weight_name(name) for name in choice.names]
        self._data = Data(recipe.get_batch, recipe.loss, recipe.make_optimizer)
        self._schedule = Schedule(method.sparsity, steps)
        self.conversion = Conversion(pruned.NAME, {"modules": finisher.names})  # layers' forms are in the weights
        self._masked: tuple[torch.optim.Optimizer, Masked] | None = None

    def convert(self, model: nn.Module) -> nn.Module:
        """The dense model with full masks beside its weights."""
        write_mask(model, full_mask(model, self._names))
        return model

    def before_step(self, model: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
        """Choose what goes before this step, if anything does, and keep the rest at zero around it."""
        if self._masked is None or self._masked[0] is not optimizer:
            masked = Masked(model, read_mask(model, self._names), optimizer)
            optimizer.register_step_pre_hook(lambda *_: masked.before_step())
            optimizer.register_step_post_hook(lambda *_: masked.after_step())
            self._masked = optimizer, masked
        sparsity = self._sparsity_before(step)
        if sparsity is not None:
            found = self._choose(model, sparsity)
            write_mask(model, found)
            self._masked[1].set_mask(found)

    def finish(self, model: nn.Module) -> nn.Module:
        """The trained model without masks, and without what its zeros made needless."""
        remove_mask(model, self._names)
        self._masked = None
        return self._finisher.finish(model)

    def _sparsity_before(self, step: int) -> float | None:
        if self._method.method != GRADUAL:
            return self._method.sparsity if step == 0 else None
        return self._schedule.sparsity(step) if self._schedule.changes_at(step) else None

    def _choose(self, model: nn.Module, sparsity: float) -> dict[str, Tensor]:
        entry = find_method(self._method.method)
        scope = {} if self._method.scope == SCOPES[0] else {"scope": self._method.scope}
        hparams = make_hparams(self._method.method, {"sparsity": sparsity, "minimum": 1, **scope})
        mask = read_mask(model, self._names)
        if not isinstance(hparams, Sparsegpt):
            return entry.method(hparams, model, self._data, mask)
        found = reconstruct(hparams, model, self._data, mask)
        found.apply(model)
        return found.mask


def choose_weights(model: nn.Module, method: Prune, modules: str = "") -> Choice:
    """All linear layers and convolutions, or those that patterns name.

    Raises InputError where there is none, a pattern fits none, a weight is shared, or a layer would be left empty.
    """
    layers = [name for name, module in model.named_modules() if isinstance(module, LAYERS)]
    check_patterns(modules, layers, "linear layer or convolution")
    named = [name for name in layers if not modules or is_named(name, modules)]
    weights = prunable(model, [weight_name(name) for name in named])
    total = sum(weight.numel() for weight in weights.values())
    kept = total - round(method.sparsity * total)
    if kept < len(weights):
        raise InputError(
            "this sparsity would leave layers empty", value=f"{kept} of {total} weights in {len(weights)} layers",
            rule="one weight in each layer at least", next_step="take a smaller --prune",
        )  # fmt: skip
    together = "in all layers together" if method.scope == SCOPES[0] else "as large a share in each layer"
    words = f"{kept:,} of {total:,} weights stay, {together}"
    sizes = {name: weights[weight_name(name)].shape for name in named}
    chosen = tuple(Layer(name, size[0], size[1:].numel(), words) for name, size in sizes.items())
    return Choice(chosen, {name: "not named" for name in layers if name not in sizes})


def write_mask(model: nn.Module, mask: dict[str, Tensor]) -> None:
    """Masks as buffers beside the weights: part of what a training's state holds."""
    for name, kept in mask.items():
        owner, own = _place(model, name)
        owner.register_buffer(_KEPT.format(own), kept)


def read_mask(model: nn.Module, names: Sequence[str]) -> dict[str, Tensor]:
    """What `write_mask` wrote."""
    places = {name: _place(model, name) for name in names}
    return {name: owner.get_buffer(_KEPT.format(own)) for name, (owner, own) in places.items()}


def remove_mask(model: nn.Module, names: Sequence[str]) -> None:
    """The model as it was before `write_mask`."""
    for name in names:
        owner, own = _place(model, name)
        delattr(owner, _KEPT.format(own))


def _place(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    path, _, own = name.rpartition(".")
    return model.get_submodule(path), own
