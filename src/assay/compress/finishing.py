"""A model with zeros becomes one without them: units that do nothing go, and layers leave out the zeros that are left.

What can go is decided by `assay.pruning.shrink`. A linear layer that still has many zeros becomes a sparse one where
that is faster here, for as many examples as the claim is about; so does a convolution, with the ReLU and the pooling
behind it, which can pay without zeros. Others keep their zeros, which then cost what weights cost.
"""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from assay.checkpoints.conversions.pruned import RESIZABLE, to_pruned, to_sparse
from assay.checkpoints.conversions.replacing import replace_module
from assay.engineer.training.recipe import Recipe
from assay.errors import InputError
from assay.pruning.shrink import shrink
from assay.sparse.convolution import SparseConv2d, why_not
from assay.sparse.epilogues import find_epilogues, leave_out, take_in

_LEAST_ZEROS = 0.6
"""Of a linear layer: below, SparseLinear reads more than a dense product does at more than a few rows
(assay.sparse.unstructured)."""
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
        self.names = resizable_layers(model)
        self._recipe, self._alone = recipe, alone

    def finish(self, model: nn.Module) -> nn.Module:
        """The model in its final form; `model` itself may be changed."""
        loss, example = self._recipe.loss, self._example()
        model = smaller(model.eval(), self.names, first_inputs(model, model, loss, example))
        epilogues = find_epilogues(model)
        for name, module in list(model.named_modules()):
            if not _can_be_sparse(module):
                continue
            names = epilogues.get(name, ())
            sparse, after = to_sparse(module), [model.get_submodule(each) for each in names]
            if isinstance(sparse, SparseConv2d):
                take_in(sparse, after)
            inputs, dense = first_inputs(model, module, loss, example), nn.Sequential(module, *after)
            if inputs and is_faster(sparse, dense if after else module, inputs[0]):
                model = replace_module(model, name, sparse)
                leave_out(model, names)
        return model

    def _example(self) -> Sequence[Any]:
        batch = self._recipe.get_batch(0)
        if not self._alone:
            return batch
        return [each[:1] if isinstance(each, Tensor) and each.dim() else each for each in batch]


def resizable_layers(model: nn.Module) -> list[str]:
    """Names of the layers whose size a model folder can give them."""
    return [name for name, module in model.named_modules() if type(module) in RESIZABLE]


def smaller(model: nn.Module, names: Sequence[str], inputs: Sequence[Any]) -> nn.Module:
    """The model with the layers of these names shrunk in their places, or as it is where that cannot be.

    It cannot where torch.fx does not trace the model, and where the model itself does not run with smaller layers, as
    one does not that reshapes to a number of channels that it was written with.
    """
    try:
        shrunk = shrink(model, inputs).model
        trial = to_pruned(copy.deepcopy(model), {"modules": list(names)})
        trial.load_state_dict(shrunk.state_dict())
        with torch.no_grad():
            same = torch.allclose(trial(*inputs), shrunk(*inputs))
    except (InputError, RuntimeError, ValueError, TypeError, AttributeError):
        return model
    return trial if same else model


class _Reached(Exception):
    """The module that was waited for is called."""


def first_inputs(
    model: nn.Module, module: nn.Module, loss: Callable[..., Any], batch: Sequence[Any]
) -> tuple[Any, ...]:
    """What a module is given first while the loss of a batch is computed; nothing where it is not called."""
    found: list[tuple[Any, ...]] = []

    def stop(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
        found.append(inputs)
        raise _Reached

    handle = module.register_forward_pre_hook(stop)
    try:
        with torch.no_grad(), contextlib.suppress(_Reached):
            loss(model, *batch)
    finally:
        handle.remove()
    return found[0] if found else ()


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


def _can_be_sparse(module: nn.Module) -> TypeGuard[nn.Linear | nn.Conv2d]:
    if type(module) is nn.Linear:
        return float((module.weight == 0).float().mean()) >= _LEAST_ZEROS
    return type(module) is nn.Conv2d and not why_not(module)
