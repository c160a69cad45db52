"""Whole channels and units go at once, and what is left is a smaller dense model that trains on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from assay.checkpoints import Conversion
from assay.checkpoints.conversions import pruned
from assay.compress.choosing import Choice, Layer, check_patterns, is_named
from assay.compress.finishing import Finisher, first_inputs
from assay.compress.method import Converter
from assay.compress.settings import Prune
from assay.engineer.training.recipe import Recipe
from assay.errors import InputError
from assay.pruning.adapters.structured import prune_channels
from assay.pruning.weights import LAYERS

_HALVINGS = 7
"""The share of channels is found to a 128th: finer than a layer of a hundred channels can follow."""


class ChannelPruner(Converter):
    """What is done to a model on the way to one with fewer channels.

    Args:
        method: the share of the chosen layers' weights that goes.
        choice: the layers that lose outputs; their readers lose inputs.
        model: names its layers.
        recipe: the training: its batches show how the model runs.
        finisher: folds batch norms into the convolutions before them.
    """

    def __init__(self, method: Prune, choice: Choice, model: nn.Module, recipe: Recipe, finisher: Finisher) -> None:
        self._sparsity, self._names, self._recipe, self._finisher = method.sparsity, choice.names, recipe, finisher
        layers = finisher.names
        self._kept = [name for name in layers if name not in choice.names and _is_layer(model.get_submodule(name))]
        self.conversion = Conversion(pruned.NAME, {"modules": layers})

    def convert(self, model: nn.Module) -> nn.Module:
        """The smallest share of channels goes that takes the wanted share of weights with it.

        Raises InputError where the model cannot be cut so, MachineError without the torch-pruning package.
        """
        (example, *_) = first_inputs(model, model, self._recipe.loss, self._recipe.get_batch(0))
        wanted = (1 - self._sparsity) * _weights(model, self._names)
        low, high, found = 0.0, 1.0, None
        for _ in range(_HALVINGS):
            share = (low + high) / 2
            cut = self._cut(model, example, share)
            if _weights(cut, self._names) <= wanted:
                high, found = share, cut
            else:
                low = share
        if found is None:
            raise InputError("so much cannot go in whole channels", value=f"{self._sparsity:g} of the weights",
                             rule="every layer keeps a channel", next_step="take a smaller --prune")  # fmt: skip
        self._check_others(model, found)
        return found.train()

    def finish(self, model: nn.Module) -> nn.Module:
        """The trained model in its final form."""
        return self._finisher.finish(model)

    def _cut(self, model: nn.Module, example: Any, share: float) -> nn.Module:
        try:
            return prune_channels(model, example, share, keep=self._kept)
        except InputError as error:
            raise InputError(
                "the model cannot be cut into fewer channels", value=error.value or error.what,
                rule="its code takes any number of channels, where a layer loses some",
                next_step="name the layers whose outputs may go with --modules, such as '*.up'",
            ) from error  # fmt: skip

    def _check_others(self, model: nn.Module, cut: nn.Module) -> None:
        """Raises InputError where a parameter outside of the layers that a folder can resize has another shape."""
        own = {f"{name}.{key}" for name in self.conversion.settings["modules"] for key in ("weight", "bias")}
        before = {name: value.shape for name, value in model.named_parameters()}
        changed = [name for name, value in cut.named_parameters() if name not in own and value.shape != before[name]]
        if changed:
            raise InputError(
                "channels reach layers that cannot be resized", value=", ".join(changed)[:300],
                rule="linear layers, convolutions and batch norms lose channels",
                next_step="name the layers whose outputs may go with --modules, such as '*.up'",
            )  # fmt: skip


def choose_channels(model: nn.Module, method: Prune, ran: Sequence[nn.Module], modules: str = "") -> Choice:
    """All linear layers and convolutions but the head, the last one that runs; or those that patterns name.

    Raises InputError where there is none, or a pattern fits none.
    """
    layers = {name: module for name, module in model.named_modules() if _is_layer(module)}
    check_patterns(modules, layers, "linear layer or convolution")
    head = [module for module in ran if _is_layer(module)][-1:]
    left = {name: "not named" for name in layers if modules and not is_named(name, modules)}
    if not modules:
        left = {name: "the head: the last layer that runs" for name, module in layers.items() if module in head}
    chosen = [name for name in layers if name not in left]
    if not chosen:
        raise InputError("there is no layer to cut", value=", ".join(left)[:300],
                         rule="a linear layer or convolution before the head")  # fmt: skip
    words = f"loses channels until {method.sparsity:.0%} of these layers' weights are gone"
    sizes = {name: _weight(layers[name]) for name in chosen}
    return Choice(tuple(Layer(n, w.shape[0], w[0].numel(), words) for n, w in sizes.items()), left)


def _is_layer(module: nn.Module) -> bool:
    return type(module) in LAYERS


def _weight(module: nn.Module) -> Tensor:
    weight = module.get_parameter("weight")
    return weight.detach()


def _weights(model: nn.Module, names: Sequence[str]) -> int:
    return sum(_weight(model.get_submodule(name)).numel() for name in names)
