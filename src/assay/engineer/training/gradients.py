"""The gradients of a loss as a task: one graph from a batch to the loss, every parameter's gradient and new buffers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.engineer.convert import Converted, as_task, export
from assay.errors import InputError


@dataclass(frozen=True, slots=True)
class Gradients:
    """The task's outputs are the loss, the gradients of `parameters` and the new values of `buffers`, in this order.

    Both are the model's own names; `converted.weight_names` too.
    """

    converted: Converted
    parameters: tuple[str, ...]
    buffers: tuple[str, ...]


def convert_gradients(model: Any, loss: Callable[..., Any], batch: Sequence[Any], name: str) -> Gradients:
    """The task of one step's gradients on batches like this one.

    `loss(model, *batch)` gives a scalar tensor. The reference is what a user runs: forward, and autograd's backward.

    Raises InputError where forward cannot be exported, where it draws random numbers (dropout), and where nothing is
    to be trained.
    """
    _check_batch(batch)
    _check_gradients(model, loss, batch)
    exported = export(_with_loss(model, loss), batch, name)
    if exported.results.count(None) != 1:
        raise InputError("the loss is not one tensor", value=name, rule="loss(model, *batch) returns a scalar tensor")
    trained = [place for place in exported.owned
               if place in exported.parameters and exported.tensors[place].requires_grad]  # fmt: skip
    buffers = tuple(_own(owner) for owner in exported.results if owner is not None)
    arguments = ", ".join([*(f"self.{one}" for one in exported.owned), *exported.arguments])
    forward = [
        "with torch.enable_grad():",
        f"    *changed, loss = self.graph({arguments})",
        f"    gradients = torch.autograd.grad(loss, [{', '.join(f'self.{place}' for place in trained)}])",
        "return loss.detach(), *gradients, *(one.detach() for one in changed)",
    ]
    made = as_task(exported, batch, name, forward, {"jumps": True})
    converted = Converted(made.task, made.key, tuple(_own(full) for full in made.weight_names))
    return Gradients(converted, tuple(_own(exported.owned[place]) for place in trained), buffers)


_MODEL = "model"
_ROUNDING = 1e-12
"""Of the largest gradient: what is below in double precision is rounding of something that is zero."""


def _check_batch(batch: Any) -> None:
    """Raises InputError where a batch is anything but tensors."""
    import torch

    if not isinstance(batch, (tuple, list)) or not all(isinstance(one, torch.Tensor) for one in batch):
        raise InputError(
            "a batch is a tuple of tensors", value=repr(type(batch).__name__), next_step="return (inputs, targets)"
        )


def _check_gradients(model: Any, loss: Callable[..., Any], batch: Sequence[Any]) -> None:
    """Whether every parameter has a gradient, and not only a rounded zero; on a copy, in double precision."""
    import torch

    exact = copy.deepcopy(model).double()
    wide = [one.double() if one.is_floating_point() else one for one in batch]
    before = torch.get_rng_state()
    with torch.enable_grad():
        found = loss(exact, *wide)
    if not torch.equal(before, torch.get_rng_state()):
        raise InputError(
            "the training step draws random numbers", value=type(model).__name__,
            rule="the same batch gives the same gradients", next_step="set dropout to 0, or leave it out",
        )  # fmt: skip
    if found.dim() != 0:
        raise InputError(
            "the loss is not one number", value=str(tuple(found.shape)), rule="a tensor without dimensions"
        )
    named = {name: p for name, p in exact.named_parameters() if p.requires_grad}
    if not named:
        raise InputError("no parameter requires a gradient", value=type(model).__name__)
    gradients = torch.autograd.grad(found, list(named.values()), allow_unused=True)
    _check_sizes({name: None if g is None else float(g.abs().max()) for name, g in zip(named, gradients, strict=True)})


def _check_sizes(largest: Mapping[str, float | None]) -> None:
    """`largest` is each parameter's largest gradient, None where the loss does not depend on it."""
    unused = [name for name, size in largest.items() if size is None]
    if unused:
        raise InputError(
            "a parameter takes no part in the loss", value=", ".join(unused)[:200],
            next_step="set its requires_grad to False, or leave it out of the model",
        )  # fmt: skip
    sizes = {name: size for name, size in largest.items() if size is not None}
    nothing = [name for name, size in sizes.items() if size <= _ROUNDING * max(sizes.values())]
    if nothing:
        raise InputError(
            "a parameter's gradient is zero but for rounding", value=", ".join(nothing)[:200],
            rule="a certificate compares gradients, and nothing can be compared with a rounded zero",
            next_step="a bias before a normalisation changes nothing: build that layer with bias=False",
        )  # fmt: skip


def _with_loss(model: Any, loss: Callable[..., Any]) -> Any:
    from torch import nn

    class WithLoss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *batch: Any) -> Any:
            return loss(self.model, *batch)

    return WithLoss()


def _own(name: str) -> str:
    """The model's own name of a tensor."""
    return name.removeprefix(_MODEL + ".")
