"""Gradients of a training's loss for the weights that a mask names: what scores are made of."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from assay.errors import InputError
from assay.pruning.protocol import Data


def gradients(
    model: nn.Module, data: Data, names: Sequence[str], number: int, create_graph: bool = False
) -> dict[str, Tensor]:
    """dL/dw of one batch. Raises InputError for a weight that the loss does not depend on."""
    return differentiate(data.loss_of(model, number), model, names, create_graph)


def mean_gradients(model: nn.Module, data: Data, names: Sequence[str], batches: int) -> dict[str, Tensor]:
    """The mean over the batches 0, 1, ... of dL/dw."""
    sums = gradients(model, data, names, 0)
    for number in range(1, batches):
        for name, each in gradients(model, data, names, number).items():
            sums[name] += each
    return {name: each / batches for name, each in sums.items()}


def differentiate(
    loss: Tensor, model: nn.Module, names: Sequence[str], create_graph: bool = False
) -> dict[str, Tensor]:
    """The gradients of a scalar. Raises InputError where it does not depend on a weight, or has no gradient."""
    weights = [model.get_parameter(name) for name in names]
    try:
        found = torch.autograd.grad(loss, weights, create_graph=create_graph, allow_unused=True)
    except RuntimeError as error:
        raise InputError("the loss has no gradient", value=str(error)[:200],
                         rule="autograd reaches the weights, for some methods twice") from error  # fmt: skip
    for name, each in zip(names, found, strict=True):
        if each is None:
            raise unreached(name)
    return dict(zip(names, found, strict=True))


def unreached(name: str) -> InputError:
    """For a weight that has no gradient."""
    return InputError("the loss does not depend on a weight", value=name, rule="every weight in the mask is used",
                      next_step="leave it out with `names`")  # fmt: skip
