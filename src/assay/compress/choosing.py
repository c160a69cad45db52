"""Which linear layers of a model are converted, and why the others are not: one training batch shows what runs.

The usual choice is every torch.nn.Linear whose both sides have at least four blocks, the head excepted: the last layer
with parameters that runs. An embedding is none. What was named by a pattern is converted whatever its size, head
or not. Left as it is, named or not: what cannot be replaced without changing the model.
"""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from assay.compress.settings import Sparse
from assay.core.own_file import words_of
from assay.errors import InputError

_FEWEST_BLOCKS = 4
"""On a side: with 3 x 3 blocks, 80 % would leave two."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer that is converted, its size, and what it becomes, in words."""

    name: str
    out_features: int
    in_features: int
    becomes: str

    def to_json(self) -> dict[str, Any]:
        """A plain mapping."""
        return {"name": self.name, "out_features": self.out_features, "in_features": self.in_features,
                "becomes": self.becomes}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Choice:
    """What is converted, and a reason for every linear layer that is not."""

    layers: tuple[Layer, ...]
    left: dict[str, str]

    @property
    def names(self) -> list[str]:
        """Of the layers."""
        return [layer.name for layer in self.layers]

    def to_json(self) -> dict[str, Any]:
        """A plain mapping."""
        return {"layers": [layer.to_json() for layer in self.layers], "left": self.left}


def choose_linears(
    model: nn.Module, loss: Callable[..., Any], batch: Sequence[Any], method: Sparse, modules: str = ""
) -> Choice:
    """Choose among a model's linear layers; `loss(model, *batch)` is computed once.

    Raises InputError where the loss fails, a pattern fits no linear layer, or nothing is left to convert.
    """
    linears = {name: each for name, each in model.named_modules() if isinstance(each, nn.Linear)}
    check_patterns(modules, linears, "linear layer")
    ran = modules_that_run(model, loss, batch)
    layers, left = [], {}
    for name, linear in linears.items():
        unwanted = "" if is_named(name, modules) else "not named"
        reason = _obstacle(model, linear, ran) or (unwanted if modules else _unusual(linear, method.block, ran))
        kept, words = _kept(linear, method)
        if reason or not kept:
            left[name] = reason or f"no block of {method.block} would remain"
        else:
            layers.append(Layer(name, linear.out_features, linear.in_features, words))
    if not layers:
        raise _nothing(left)
    return Choice(tuple(layers), left)


def _kept(linear: nn.Linear, method: Sparse) -> tuple[int, str]:
    """How many blocks stay in the end, and that in words."""
    sides, block = (linear.out_features, linear.in_features), method.block
    total = math.prod(-(-side // block) for side in sides)
    kept = total - round(method.sparsity * total)
    padding = [-side % block for side in sides]
    padded = f", padded by {padding[0]} x {padding[1]} to whole blocks" if any(padding) else ""
    return kept, f"{kept} of {total} blocks of {block}{padded}"


def _obstacle(model: nn.Module, linear: nn.Linear, ran: Sequence[nn.Module]) -> str:
    """Why it cannot be replaced; empty where it can."""
    places = Counter(id(each) for _, each in model.named_modules(remove_duplicate=False))
    owners = Counter(id(each) for _, each in model.named_parameters(remove_duplicate=False))
    hooks = (linear._forward_hooks, linear._forward_pre_hooks, linear._backward_hooks, linear._backward_pre_hooks)
    if type(linear) is not nn.Linear:
        return f"a {type(linear).__name__}, of which others may use more than its output"
    if any(hooks):
        return "it has hooks"
    if places[id(linear)] > 1 or any(owners[id(each)] > 1 for each in linear.parameters()):
        return "shared with another place of the model"
    if not any(linear is each for each in ran):
        return "not called by the training's loss"
    if not linear.weight.requires_grad:
        return "frozen"
    if linear.weight.dtype not in (torch.float32, torch.float64) or linear.weight.device.type != "cpu":
        return f"{linear.weight.dtype} on {linear.weight.device}, not float32 or float64 on the CPU"
    return ""


def _unusual(linear: nn.Linear, block: int, ran: Sequence[nn.Module]) -> str:
    """Why the usual choice leaves it out; empty where it does not."""
    least = _FEWEST_BLOCKS * block
    if linear is ran[-1]:
        return "the head: the last layer that runs"
    if min(linear.in_features, linear.out_features) < least:
        return f"{linear.out_features} x {linear.in_features} is small: {least} on both sides at least"
    return ""


def modules_that_run(model: nn.Module, loss: Callable[..., Any], batch: Sequence[Any]) -> list[nn.Module]:
    """Those that have parameters and no modules in them, in the order in which they answer."""
    ran: list[nn.Module] = []
    with contextlib.ExitStack() as stack:
        for module in model.modules():
            if next(module.parameters(), None) is not None and next(module.children(), None) is None:
                stack.enter_context(_listening(module, ran))
        try:
            with torch.no_grad():
                loss(model, *batch)
        except Exception as error:
            raise InputError("the loss of a first batch fails", value=words_of(error), next_step="see docs/training.md",
                             rule="loss(model, *get_batch(0)) is a scalar tensor") from error  # fmt: skip
    return ran


@contextlib.contextmanager
def _listening(module: nn.Module, ran: list[nn.Module]) -> Iterator[None]:
    handle = module.register_forward_hook(lambda answering, _inputs, _output: ran.append(answering))
    try:
        yield
    finally:
        handle.remove()


def is_named(name: str, modules: str) -> bool:
    """Whether one of the patterns fits a layer's name."""
    return any(fnmatchcase(name, pattern) for pattern in _patterns(modules))


def check_patterns(modules: str, names: Iterable[str], kind: str) -> None:
    """Raises InputError for a pattern that fits none of the names."""
    for pattern in _patterns(modules):
        if not any(fnmatchcase(name, pattern) for name in names):
            raise InputError(f"no {kind} has such a name", value=pattern[:100],
                             rule=f"one of: {', '.join(names) or 'none, the model has none'}"[:600])  # fmt: skip


def _patterns(modules: str) -> list[str]:
    return [pattern.strip() for pattern in modules.split(",") if pattern.strip()]


def _nothing(left: dict[str, str]) -> InputError:
    looked_at = "; ".join(f"{name}: {reason}" for name, reason in left.items())
    return InputError(
        "there is no layer to convert", value=looked_at[:1000] or "the model has no linear layer",
        rule="a torch.nn.Linear of at least four blocks on both sides, which is not the head",
        next_step="choose a smaller --block, or name layers with --modules",
    )  # fmt: skip
