"""Units of one link: which are dead, which are constant, and both layers without them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from assay.pruning.shrink.links import Link
from assay.pruning.shrink.passing import constants_after

Layer = nn.Linear | nn.Conv1d | nn.Conv2d


@dataclass(frozen=True, slots=True)
class Units:
    """bool tensors over a producer's units, and what a constant one gives to its reader."""

    dead: Tensor
    constant: Tensor
    bordered: Tensor
    """Constant, but for the reader's zero padding at borders, so that it has to stay."""
    values: Tensor

    @property
    def going(self) -> Tensor:
        """All that can go; one stays in a layer that would lose every one."""
        going = self.dead | self.constant
        if bool(going.all()):
            going[0] = False
        return going


def layer(traced: fx.GraphModule, name: str) -> Layer:
    """A layer by its name."""
    found = traced.get_submodule(name)
    assert isinstance(found, (nn.Linear, nn.Conv1d, nn.Conv2d))
    return found


@torch.no_grad()
def find_units(traced: fx.GraphModule, link: Link) -> Units:
    """Dead: all weights that read it are zero. Constant: all weights that make it are zero."""
    producer, consumer = layer(traced, link.producer), layer(traced, link.consumer)
    reading = _reading(consumer.weight, link)
    dead = (reading == 0).flatten(2).all(2).all(0)
    silent = (producer.weight == 0).flatten(1).all(1)
    values = torch.zeros_like(silent, dtype=producer.weight.dtype) if producer.bias is None else producer.bias.detach()
    even = torch.ones_like(silent)
    for node in link.between:
        values, still = constants_after(node, values)
        even &= still
    if _pads_with_zeros(consumer):
        even &= values == 0
    return Units(dead, silent & even & ~dead, silent & ~even & ~dead, values)


@torch.no_grad()
def remove_units(traced: fx.GraphModule, link: Link, units: Units) -> None:
    """Both layers without the units that go, in place of the old ones; constants move into the reader's bias."""
    producer, consumer, going = layer(traced, link.producer), layer(traced, link.consumer), units.going
    folded = units.constant & going
    reading = _reading(consumer.weight, link)
    bias = consumer.bias
    if bool((units.values[folded] != 0).any()):
        added = reading.flatten(2).double().sum(2)[:, folded] @ units.values[folded].double()
        bias = added.to(reading.dtype) if bias is None else (bias.double() + added).to(reading.dtype)
    rest = reading[:, ~going]
    weight = rest.flatten(1) if isinstance(consumer, nn.Linear) else rest.squeeze(2)
    traced.set_submodule(link.consumer, _like(consumer, weight, bias))
    own = None if producer.bias is None else producer.bias[~going]
    traced.set_submodule(link.producer, _like(layer(traced, link.producer), producer.weight[~going], own))


def _reading(weight: Tensor, link: Link) -> Tensor:
    """[outputs, units, columns, taps...]: the reader's weights by the unit that they read."""
    return weight.reshape(weight.shape[0], -1, link.columns, *weight.shape[2:])


def _pads_with_zeros(consumer: Layer) -> bool:
    if isinstance(consumer, nn.Linear):
        return False
    return consumer.padding_mode == "zeros" and any(consumer._reversed_padding_repeated_twice)


def _like(old: Layer, weight: Tensor, bias: Tensor | None) -> Layer:
    """A layer of the old one's kind with these weights."""
    make: Any = type(old)
    window = {} if isinstance(old, nn.Linear) else {
        "kernel_size": old.kernel_size, "stride": old.stride, "padding": old.padding, "dilation": old.dilation,
        "padding_mode": old.padding_mode,
    }  # fmt: skip
    new: Layer = make(weight.shape[1], weight.shape[0], **window, bias=bias is not None).eval()
    new.weight = nn.Parameter(weight.clone(), old.weight.requires_grad)
    if bias is not None:
        new.bias = nn.Parameter(bias.clone())
    return new
