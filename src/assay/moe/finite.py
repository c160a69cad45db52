"""Refusing NaN and infinity in a router's logits: a top-k of NaN picks experts all the same, and nobody would notice.

The check is one sum over [tokens, experts]. It needs the value on the host: free on a CPU, a synchronisation elsewhere.
Under torch.compile it is an operator of its own, so that the graph stays whole and the error stays the same.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from assay.errors import InputError


def checked_logits(logits: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """The logits; raises InputError where one is not finite, naming the layer's input x or the router's weight."""
    if torch.compiler.is_compiling():
        checked: Tensor = _checked(logits, x, weight)
        return checked
    _refuse(logits, x, weight)
    return logits


def _refuse(logits: Tensor, x: Tensor, weight: Tensor) -> None:
    # A sum of finite numbers may overflow, hence the second look; no sum of a NaN or infinity is finite.
    if math.isfinite(logits.detach().sum().item()) or bool(logits.isfinite().all()):
        return
    if not bool(x.isfinite().all()):
        rows = int((~x.isfinite().all(1)).sum())
        raise InputError(
            "the input of a mixture of experts holds NaN or infinity",
            value=f"{rows} of {x.shape[0]} tokens",
            rule="every element is finite, else the choice of experts is arbitrary",
            next_step="look at the layers before this one",
        )
    finite_weight = bool(weight.isfinite().all())
    raise InputError(
        "the router's logits overflow" if finite_weight else "the router's weight holds NaN or infinity",
        value=f"largest |x| {x.abs().max().item():.3g}, largest |weight| {weight.abs().max().item():.3g}",
        rule="every logit is finite, else the choice of experts is arbitrary",
        next_step="load a sound checkpoint, or lower the learning rate; a router z-loss keeps logits small",
    )


@torch.library.custom_op("assay::checked_logits", mutates_args=())
def _checked(logits: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    _refuse(logits, x, weight)
    return logits.clone()


@_checked.register_fake
def _(logits: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    return torch.empty_like(logits)


def _backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
    return g, None, None


_checked.register_autograd(_backward)
