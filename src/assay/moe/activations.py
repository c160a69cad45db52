"""Activation functions by their names in Hugging Face's configurations (hidden_act), with and without a gate."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from assay.errors import InputError


def _relu_squared(x: Tensor) -> Tensor:
    return functional.relu(x).square()


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "gelu_pytorch_tanh": partial(functional.gelu, approximate="tanh"),
    "gelu_new": partial(functional.gelu, approximate="tanh"),
    "silu": functional.silu,
    "swish": functional.silu,
    "relu": functional.relu,
    "relu2": _relu_squared,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}


def activation_named(name: str) -> Callable[[Tensor], Tensor]:
    """The function of a name; raises InputError for an unknown one."""
    if name not in ACTIVATIONS:
        raise InputError(
            "there is no activation of this name",
            value=repr(name),
            rule=f"one of {', '.join(sorted(ACTIVATIONS))}",
            next_step="choose one of these, or add it to assay.moe.activations.ACTIVATIONS before building the layer",
        )
    return ACTIVATIONS[name]


def activate(hidden: Tensor, name: str, gated: bool) -> Tensor:
    """activation(hidden), or activation(first half) * second half of the last dimension where `gated`."""
    if not gated:
        return ACTIVATIONS[name](hidden)
    gate, up = hidden.chunk(2, dim=-1)
    return ACTIVATIONS[name](gate) * up
