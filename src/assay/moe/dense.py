"""Finding the dense feed-forward layers of a model and reading their weights, whoever wrote the model.

A candidate is recognised by its form: a module whose only parameters are linear layers of known names, or a run of
linear, activation, linear in an nn.Sequential. What it computes is then tried, not guessed: a float64 copy with random
weights must give what these weights give with one of the known activations. So a residual, a norm or an unknown
activation inside is never overlooked. The weights of the trial are random, because a model's own may hide what it does
(a down projection of zeros gives zeros with any activation).

Not recognised: layers whose parent calls their parts itself (nn.TransformerEncoderLayer, BERT), and one matrix for gate
and up (Phi-3).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from assay.moe.activations import ACTIVATIONS
from assay.moe.layer import MoE

_NAMES: tuple[tuple[str | None, str, str], ...] = (
    ("gate_proj", "up_proj", "down_proj"),
    ("gate", "up", "down"),
    ("w1", "w3", "w2"),
    ("wi_0", "wi_1", "wo"),
    (None, "up_proj", "down_proj"),
    (None, "up", "down"),
    (None, "fc1", "fc2"),
    (None, "fc_in", "fc_out"),
    (None, "c_fc", "c_proj"),
    (None, "dense_h_to_4h", "dense_4h_to_h"),
    (None, "linear1", "linear2"),
    (None, "w1", "w2"),
    (None, "wi", "wo"),
)
"""Attributes of gate, up and down, as Llama, T5, GPT-2, OPT, GPT-J, GPT-NeoX and their descendants name them."""

_MATCH = 1e-5
"""Relative error below which two float64 outputs are one function: modules that compute in float32 inside reach 1e-7,
and the two kinds of GELU, the closest pair of activations, differ by more than 1e-4."""


@dataclass(frozen=True, slots=True)
class DenseFeedForward:
    """down(activation(up(x))), or down(activation(gate(x)) * up(x)): linear layers as (weight [out, in], bias)."""

    gate: tuple[Tensor, Tensor | None] | None
    up: tuple[Tensor, Tensor | None]
    down: tuple[Tensor, Tensor | None]

    @property
    def hidden_size(self) -> int:
        """Width of input and output."""
        return self.up[0].shape[1]

    @property
    def intermediate_size(self) -> int:
        """Width between."""
        return self.up[0].shape[0]

    def output(self, x: Tensor, activation: str) -> Tensor:
        """What such a layer gives for x [..., H]."""
        up = functional.linear(x, *self.up)
        if self.gate is None:
            return functional.linear(ACTIVATIONS[activation](up), *self.down)
        return functional.linear(ACTIVATIONS[activation](functional.linear(x, *self.gate)) * up, *self.down)


@dataclass(frozen=True, slots=True)
class FoundFeedForward:
    """A feed-forward layer in a model."""

    name: str
    """Path of the module; in an nn.Sequential that of the run's first layer."""
    owner: nn.Module
    """The module, or the nn.Sequential that the run stands in."""
    run: range | None
    """The indices of the run in the nn.Sequential."""
    dense: DenseFeedForward
    activation: str


def find_feed_forwards(model: nn.Module) -> tuple[FoundFeedForward, ...]:
    """The dense feed-forward layers of a model in their order, shared ones once; none inside a `MoE`."""
    return tuple(_search(model, "", set()))


def _search(module: nn.Module, path: str, seen: set[int]) -> Iterator[FoundFeedForward]:
    if isinstance(module, MoE) or id(module) in seen:
        return
    seen.add(id(module))
    taken: set[int] = set()
    if isinstance(module, nn.Sequential):
        for run in _runs(module):
            if (known := _tried(module[run.start : run.stop])) is not None:
                taken.update(run)
                yield FoundFeedForward(_join(path, str(run[0])), module, run, *known)
    elif (known := _tried(module)) is not None:
        yield FoundFeedForward(path, module, None, *known)
        return
    for index, (name, child) in enumerate(module._modules.items()):
        if child is not None and index not in taken:
            yield from _search(child, _join(path, name), seen)


def _runs(sequential: nn.Sequential) -> Iterator[range]:
    """Indices from one linear layer to the next that could be a feed-forward layer, each layer in one run at most."""
    start: int | None = None
    for index, child in enumerate(sequential):
        if not _is_linear(child):
            continue
        if start is not None and _read(sequential[start : index + 1]) is not None:
            yield range(start, index + 1)
            start = None
        else:
            start = index


def _tried(module: nn.Module) -> tuple[DenseFeedForward, str] | None:
    """A module's weights and activation; None where it is no feed-forward layer. On the module's own device."""
    if (dense := _read(module)) is None:
        return None
    trial = copy.deepcopy(module).double().eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, dtype=torch.float64, generator=generator).to(dense.up[0].device)

    for parameter in trial.parameters():
        # Three units from zero is where activations differ most.
        parameter.copy_(normal(*parameter.shape) * 3 / parameter.shape[-1] ** 0.5)
    known = _read(trial)
    x = normal(2, 8, dense.hidden_size)
    try:
        wanted = trial(x)
    except (TypeError, ValueError, LookupError, AttributeError, RuntimeError):
        return None  # It takes something else than a tensor of this shape.
    if known is None or not isinstance(wanted, Tensor) or wanted.shape != x.shape:
        return None
    for name in ACTIVATIONS:
        if (known.output(x, name) - wanted).norm() <= _MATCH * wanted.norm():
            return dense, name
    return None


def _read(module: nn.Module) -> DenseFeedForward | None:
    """The weights of something that has a feed-forward layer's form."""
    linears = [None, module[0], module[-1]] if isinstance(module, nn.Sequential) else _linears_by_name(module)
    if linears is None:
        return None
    gate, up, down = (None if each is None else _weights(each) for each in linears)
    assert up is not None
    assert down is not None
    inward, outward = tuple(up[0].shape), tuple(down[0].shape)
    if outward != inward[::-1] or (gate is not None and tuple(gate[0].shape) != inward):
        return None
    return DenseFeedForward(gate, up, down)


def _linears_by_name(module: nn.Module) -> list[nn.Module | None] | None:
    """Gate (or None), up and down, where these hold all parameters of the module."""
    own = {id(parameter) for parameter in module.parameters()}
    for names in _NAMES:
        found = [None if name is None else module._modules.get(name) for name in names]
        linears = [each for each in found if each is not None and _is_linear(each)]
        held = {id(parameter) for each in linears for parameter in each.parameters()}
        if len(linears) == len(names) - names.count(None) and held == own:
            return found
    return None


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or _is_conv1d(module)


def _is_conv1d(module: nn.Module) -> bool:
    """Whether it is transformers' Conv1D, a linear layer that stores its weight as [in, out] (GPT-2)."""
    return type(module).__name__ == "Conv1D" and hasattr(module, "nf")


def _weights(linear: Any) -> tuple[Tensor, Tensor | None]:
    """Weight [out, in] and bias."""
    weight, bias = linear.weight.detach(), linear.bias
    return weight.T if _is_conv1d(linear) else weight, None if bias is None else bias.detach()


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
