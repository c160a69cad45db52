"""A model with zeros becomes one without them: units that do nothing go, and layers leave out the zeros that are left.

What can go is decided by `assay.prune.shrink`. A linear layer that still has many zeros becomes a SparseLinear where
that is faster here, for as many rows as the claim is about; others keep their zeros, which then cost what weights cost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from assay.checkpoints.conversions.pruned import CONVOLUTIONS, NORMS, to_sparse
from assay.checkpoints.conversions.replacing import replace_module
from assay.engineer.training.recipe import Recipe

_LEAST_ZEROS = 0.6
"""Below, SparseLinear reads more than a dense product does at more than a few rows (assay.sparse.unstructured)."""
_FASTER = 0.9
"""Of the dense layer's time: less is within what timings of some microseconds repeat to."""
_TURNS = 31


class Finisher:
    """Makes of a trained model with zeros one that is smaller, and faster where that can be.

    Args:
        model: names its layers.
        recipe: the training: its batches show how many rows a layer gets.
        alone: whether the claim is about one example at a time.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, alone: bool) -> None:
        kinds = (nn.Linear, *CONVOLUTIONS, *NORMS)
        self.names = [name for name, module in model.named_modules() if type(module) in kinds]
        self._recipe, self._alone = recipe, alone

    def finish(self, model: nn.Module) -> nn.Module:
        """The model in its final form; `model` itself may be changed."""
        rows = rows_of_layers(model, self._recipe.loss, self._example())
        for name, inputs in rows.items():
            linear = model.get_submodule(name)
            if type(linear) is nn.Linear and _zeros(linear) >= _LEAST_ZEROS:
                sparse = to_sparse(linear)
                if is_faster(sparse, linear, inputs):
                    model = replace_module(model, name, sparse)
        return model

    def _example(self) -> Sequence[Any]:
        batch = self._recipe.get_batch(0)
        if not self._alone:
            return batch
        return [each[:1] if isinstance(each, Tensor) and each.dim() else each for each in batch]


def rows_of_layers(model: nn.Module, loss: Callable[..., Any], batch: Sequence[Any]) -> dict[str, Tensor]:
    """What each linear layer that runs is given, [..., in_features], by its name."""
    seen: dict[str, Tensor] = {}
    handles = []
    for name, module in model.named_modules():
        if type(module) is nn.Linear:
            handles.append(
                module.register_forward_pre_hook(lambda _, inputs, name=name: seen.update({name: inputs[0]}))
            )
    try:
        with torch.no_grad():
            loss(model.eval(), *batch)
    finally:
        for handle in handles:
            handle.remove()
    return seen


@torch.inference_mode()
def is_faster(sparse: nn.Module, dense: nn.Module, x: Tensor) -> bool:
    """Whether the one takes clearly less processor time than the other, in turns."""
    times: dict[int, list[float]] = {0: [], 1: []}
    for _ in range(_TURNS):
        for number, layer in enumerate((sparse, dense)):
            begun = time.thread_time()
            layer(x)
            times[number].append(time.thread_time() - begun)
    return median(times[0]) < _FASTER * median(times[1])


def _zeros(linear: nn.Linear) -> float:
    return float((linear.weight == 0).float().mean())
