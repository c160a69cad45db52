"""The intermediate form of a small network: layers in order, each on values before it, with float32 weights.

A value has the shape (channels, height, width) and lies row by row, channel by channel, as PyTorch's contiguous tensors
do. A vector of n features is (n, 1, 1), a series (channels, 1, length). So a linear layer is a convolution whose window
is one place, and flattening is no layer at all: a layer says in which shape it takes its source.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.errors import InputError

Array = NDArray[Any]
Shape = tuple[int, int, int]
Pair = tuple[int, int]


class Kind(Enum):
    """What an activation computes, element by element."""

    RELU = "relu"
    """max(x, 0)."""
    LEAKY_RELU = "leaky_relu"
    """x, or slope * x below zero."""
    SIGMOID = "sigmoid"
    """1 / (1 + exp(-x))."""
    TANH = "tanh"
    """The hyperbolic tangent."""


@dataclass(frozen=True, slots=True)
class Activation:
    """An activation; `slope` belongs to LEAKY_RELU."""

    kind: Kind
    slope: float = 0.0


@dataclass(frozen=True, slots=True)
class Window:
    """What an output position sees: (height, width) of each. Beyond the edge lie zeros, or the other side."""

    size: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    circular: bool = False

    def positions(self, shape: Shape) -> Pair:
        """Height and width of the output."""
        found = [
            (shape[1 + axis] + 2 * self.padding[axis] - self.dilation[axis] * (self.size[axis] - 1) - 1)
            // self.stride[axis] + 1
            for axis in (0, 1)
        ]  # fmt: skip
        return found[0], found[1]

    @property
    def is_padded(self) -> bool:
        """Whether a window may reach beyond the edge."""
        return self.padding != (0, 0)

    @property
    def is_point(self) -> bool:
        """Whether an output position sees its own place only."""
        return self.size == (1, 1) and self.stride == (1, 1) and not self.is_padded


@dataclass(frozen=True, slots=True, eq=False)
class Conv:
    """weight [out, in / groups, height, width] and bias [out]; float32, or integers in an integer network."""

    weight: Array
    bias: Array
    window: Window = Window()
    groups: int = 1

    @property
    def scales_channels(self) -> bool:
        """Whether each channel is only multiplied and shifted, as batch normalisation does."""
        return self.window.is_point and self.groups == self.weight.shape[0] and self.weight.shape[1] == 1


class PoolKind(Enum):
    """How a window becomes a number."""

    MAX = "max"
    AVERAGE = "average"


@dataclass(frozen=True, slots=True)
class Pool:
    """A pooling; what lies beyond the edge is not part of a maximum and is never averaged."""

    kind: PoolKind
    window: Window


@dataclass(frozen=True, slots=True)
class Add:
    """The sum of two values of one shape."""


@dataclass(frozen=True, slots=True)
class Softmax:
    """Over all features of a vector."""


Operation = Conv | Pool | Add | Softmax


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """An operation on values: source 0 is the network's input, source n the output of layer n - 1."""

    operation: Operation
    sources: tuple[int, ...]
    takes: Shape
    activation: Activation | None = None

    @property
    def shape(self) -> Shape:
        """Of the output."""
        match self.operation:
            case Conv(weight=weight, window=window):
                return (weight.shape[0], *window.positions(self.takes))
            case Pool(window=window):
                return (self.takes[0], *window.positions(self.takes))
            case _:
                return self.takes


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """Layers in the order in which they are computed; the last one's output is the network's.

    `decides`: what is wanted is the channel of the largest output, not the outputs. Raises InputError for what is no
    network.
    """

    takes: Shape
    layers: tuple[Layer, ...]
    decides: bool = False

    def __post_init__(self) -> None:
        if not self.layers:
            raise InputError("the network computes nothing", rule="one layer at least")
        for number, layer in enumerate(self.layers, 1):
            _check(self, number, layer)

    def shape(self, value: int) -> Shape:
        """Of a value, as its layer makes it."""
        return self.layers[value - 1].shape if value else self.takes

    @property
    def output(self) -> Shape:
        """The last layer's shape."""
        return self.layers[-1].shape

    def users(self, value: int) -> list[int]:
        """The values that are computed from one."""
        return [number for number, layer in enumerate(self.layers, 1) if value in layer.sources]

    def convolutions(self) -> Iterator[tuple[int, Layer, Conv]]:
        """Value, layer and operation of each."""
        for number, layer in enumerate(self.layers, 1):
            if isinstance(layer.operation, Conv):
                yield number, layer, layer.operation

    @property
    def weights(self) -> tuple[int, int]:
        """How many weights are not zero, and how many there are; biases are not counted."""
        found = [conv.weight for _, _, conv in self.convolutions()]
        return sum(int(np.count_nonzero(weight)) for weight in found), sum(weight.size for weight in found)

    def before_decision(self) -> Network:
        """The network without a last softmax, sigmoid or tanh: they change no decision."""
        last = self.layers[-1]
        if isinstance(last.operation, Softmax) and len(self.layers) > 1 and last.sources == (len(self.layers) - 1,):
            return replace(self, layers=self.layers[:-1]).before_decision()
        if last.activation and last.activation.kind in (Kind.SIGMOID, Kind.TANH):
            return replace(self, layers=(*self.layers[:-1], replace(last, activation=None)))
        return self


def decisions(network: Network, outputs: Array) -> Array:
    """What outputs [n, ...] decide, as integers.

    After a sigmoid: whether above a half, each for itself. One channel: whether above zero, at each position. Else the
    channel of the largest, at each position.
    """
    shaped = outputs.reshape(len(outputs), *network.output)
    last = network.layers[-1].activation
    if last and last.kind is Kind.SIGMOID:
        return (shaped > 0.5).astype(np.int64)
    if network.output[0] == 1:
        return (shaped > 0).astype(np.int64)
    found: Array = shaped.argmax(1)
    return found


def _check(network: Network, number: int, layer: Layer) -> None:
    """Raises InputError where a layer does not fit what comes before it."""
    operation, problem = layer.operation, ""
    if len(layer.sources) != (2 if isinstance(operation, Add) else 1):
        problem = f"{len(layer.sources)} sources"
    elif any(not 0 <= source < number for source in layer.sources):
        problem = f"sources {layer.sources}"
    elif any(math.prod(network.shape(source)) != math.prod(layer.takes) for source in layer.sources):
        problem = f"takes {layer.takes} of {[network.shape(source) for source in layer.sources]}"
    elif isinstance(operation, Softmax) and layer.takes[1:] != (1, 1):
        problem = f"a softmax over {layer.takes}"
    elif isinstance(operation, Conv | Pool):
        problem = _window_problem(layer, operation)
    if problem:
        raise InputError("a layer does not fit the network",
                         value=f"layer {number}, {type(operation).__name__}: {problem}",
                         rule="each layer takes the numbers that values before it have")  # fmt: skip


def _window_problem(layer: Layer, operation: Conv | Pool) -> str:
    window = operation.window
    if min(window.positions(layer.takes)) < 1:
        return f"a window of {window.size} on {layer.takes}"
    if window.circular and any(window.padding[axis] > layer.takes[1 + axis] for axis in (0, 1)):
        return f"circular padding {window.padding} on {layer.takes}"
    if isinstance(operation, Pool):
        return "padding that is averaged" if operation.kind is PoolKind.AVERAGE and window.is_padded else ""
    weight, bias = operation.weight, operation.bias
    if weight.ndim != 4 or weight.shape[2:] != window.size or bias.shape != weight.shape[:1]:
        return f"weight {weight.shape} and bias {bias.shape}"
    if weight.shape[1] * operation.groups != layer.takes[0] or weight.shape[0] % operation.groups:
        return f"weight {weight.shape} in {operation.groups} groups on {layer.takes}"
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        return "weights that are not finite"
    return ""
