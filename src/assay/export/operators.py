"""PyTorch's operators as layers: a function of each one's arguments, and the table of those that are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from assay.errors import InputError
from assay.export.network import (
    Activation,
    Add,
    Array,
    Conv,
    Kind,
    Layer,
    Pair,
    Pool,
    PoolKind,
    Shape,
    Softmax,
    Window,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Value:
    """A value as PyTorch sees it: `shape` is without the batch; `padding` is still to be taken by a window."""

    number: int
    shape: tuple[int, ...]
    padding: Pair = (0, 0)
    circular: bool = False


class Arguments(dict[str, Any]):
    """An operator's arguments by name."""

    def __init__(self, operator: str, values: dict[str, Any]) -> None:
        super().__init__(values)
        self.operator = operator

    def source(self, name: str = "self", *, may_be_padded: bool = False) -> Value:
        """The argument that is a value of the network."""
        found = self[name]
        if not isinstance(found, Value):
            raise self.refuse(f"{name} is constant", "the network's values flow through its first argument")
        if found.padding != (0, 0) and not may_be_padded:
            raise self.refuse("it takes a padded value", "padding stands right before a convolution")
        return found

    def refuse(self, value: str, rule: str) -> InputError:
        """The error for what this operator is not known with."""
        return InputError("an operator cannot be exported as it is used", value=f"{self.operator}: {value}", rule=rule)


Reader = Callable[[Arguments, tuple[int, ...]], "Layer | Value"]
"""From arguments and PyTorch's shape of the output, without the batch."""


def shape_of(shape: Sequence[int]) -> Shape:
    """PyTorch's shape without the batch as (channels, height, width)."""
    if len(shape) > 3:
        raise InputError("a value has too many axes", value=str(list(shape)), rule="three at most, beside the batch")
    padded = (
        (*shape, 1, 1) if len(shape) == 1 else (shape[0], 1, shape[1]) if len(shape) == 2 else (*shape, 1, 1, 1)[:3]
    )
    return padded[0], padded[1], padded[2]


def unknown_operator(name: str) -> InputError:
    """The error for an operator without a reader."""
    return InputError(
        "the model has an operator that cannot be exported", value=name,
        rule=f"known are {', '.join(sorted([*READERS, 'argmax']))}; in place or not",
        next_step="write the model with these, or export a part of it",
    )  # fmt: skip


def _convolution(arguments: Arguments, shape: tuple[int, ...]) -> Layer:
    source = arguments.source("input", may_be_padded=True)
    weight = _array(arguments, "weight")
    if weight.ndim == 3:
        weight = weight[:, :, None, :]
    takes = shape_of(source.shape)
    stride, dilation = _pair(arguments["stride"], 1), _pair(arguments["dilation"], 1)
    size = (weight.shape[2], weight.shape[3])
    own = _padding(arguments, size, dilation)
    if own != (0, 0) and source.padding != (0, 0):
        raise arguments.refuse("padding twice", "one padding before a convolution")
    padding = own if own != (0, 0) else source.padding
    window = Window(size, stride, padding, dilation, source.circular)
    return Layer(Conv(weight, _bias(arguments, len(weight)), window, arguments["groups"]), (source.number,), takes)


def _padding(arguments: Arguments, size: Pair, dilation: Pair) -> Pair:
    padding = arguments["padding"]
    if padding == "valid":
        return (0, 0)
    if padding != "same":
        return _pair(padding, 0)
    both = [dilation[axis] * (size[axis] - 1) for axis in (0, 1)]
    if any(each % 2 for each in both):
        raise arguments.refuse("more padding on one side than on the other", "windows of odd size")
    return both[0] // 2, both[1] // 2


def _linear(arguments: Arguments, shape: tuple[int, ...]) -> Layer:
    source, weight = arguments.source("input"), _array(arguments, "weight")
    if any(size != 1 for size in source.shape[:-1]):
        raise arguments.refuse(f"an input of shape {list(source.shape)}", "one vector of features; flatten it before")
    conv = Conv(weight[:, :, None, None], _bias(arguments, len(weight)))
    return Layer(conv, (source.number,), (weight.shape[1], 1, 1))


def _batch_norm(arguments: Arguments, shape: tuple[int, ...]) -> Layer:
    source = arguments.source("input")
    mean, variance = (_array(arguments, name).astype(np.float64) for name in ("running_mean", "running_var"))
    if arguments["training"]:
        raise arguments.refuse("statistics of the batch", "eval mode, with running statistics")
    scale = 1 / np.sqrt(variance + arguments["eps"])
    if arguments["weight"] is not None:
        scale = scale * _array(arguments, "weight")
    shift = _bias(arguments, len(mean)) - mean * scale
    return _scaling(source.number, shape_of(source.shape), scale, shift)


def _scaling(source: int, takes: Shape, scale: Array, shift: Array) -> Layer:
    weight = scale.astype(np.float32).reshape(-1, 1, 1, 1)
    return Layer(Conv(weight, shift.astype(np.float32), groups=len(weight)), (source,), takes)


def _arithmetic(scale: Callable[[Array], Array], shift: Callable[[Array], Array]) -> Reader:
    """Multiplying by, or adding, something constant; the functions give scale and shift from it."""

    def read(arguments: Arguments, shape: tuple[int, ...]) -> Layer:
        other = arguments["other"]
        if isinstance(other, Value) and isinstance(arguments["self"], Value):
            raise arguments.refuse("two values of the network", "one of them is constant; only add takes two values")
        if arguments.get("alpha", 1) != 1 or arguments.get("rounding_mode") is not None:
            raise arguments.refuse("alpha or rounding", "the plain operator")
        symmetric = arguments.operator in ("add", "mul")
        source = arguments.source("other" if symmetric and isinstance(other, Value) else "self")
        constant = arguments["self"] if source is other else other
        spread = torch.as_tensor(constant, dtype=torch.float64).expand(1, *shape)[0].numpy().astype(np.float64)
        takes = shape_of(source.shape)
        by_channel = spread.reshape(takes[0], -1)
        if tuple(source.shape) != shape:
            raise arguments.refuse(f"{list(source.shape)} becomes {list(shape)}", "the constant is not the larger one")
        if (by_channel != by_channel[:, :1]).any():
            takes = (spread.size, 1, 1)
            by_channel = spread.reshape(-1, 1)
        return _scaling(source.number, takes, scale(by_channel[:, 0]), shift(by_channel[:, 0]))

    return read


def _add(arguments: Arguments, shape: tuple[int, ...]) -> Layer | Value:
    if not (isinstance(arguments["self"], Value) and isinstance(arguments["other"], Value)):
        return _SHIFT(arguments, shape)
    first, second = arguments.source("self"), arguments.source("other")
    if first.shape != second.shape or arguments["alpha"] != 1:
        raise arguments.refuse(f"{list(first.shape)} and {list(second.shape)}", "two values of one shape")
    return Layer(Add(), (first.number, second.number), shape_of(first.shape))


def _activation(kind: Kind) -> Reader:
    def read(arguments: Arguments, shape: tuple[int, ...]) -> Layer:
        source = arguments.source()
        activation = Activation(kind, float(arguments.get("negative_slope", 0.0)))
        return Layer(Pool(PoolKind.MAX, Window()), (source.number,), shape_of(source.shape), activation)

    return read


def _softmax(arguments: Arguments, shape: tuple[int, ...]) -> Layer:
    source = arguments.source()
    axis = arguments["dim"] % (len(source.shape) + 1)
    if axis == 0 or any(size != 1 for place, size in enumerate(source.shape, 1) if place != axis):
        raise arguments.refuse(f"over axis {arguments['dim']} of {list(source.shape)}", "over all features of a vector")
    return Layer(Softmax(), (source.number,), (source.shape[axis - 1], 1, 1))


def _pool(kind: PoolKind) -> Reader:
    def read(arguments: Arguments, shape: tuple[int, ...]) -> Layer:
        source = arguments.source()
        size = _pair(arguments["kernel_size"], 1, len(source.shape))
        stride = _pair(arguments["stride"], 1, len(source.shape)) if arguments["stride"] else size
        padding, dilation = (_pair(arguments.get(name, even), even, len(source.shape))
                             for name, even in (("padding", 0), ("dilation", 1)))  # fmt: skip
        if arguments["ceil_mode"] or arguments.get("divisor_override") is not None:
            raise arguments.refuse("ceil_mode or divisor_override", "windows that lie within the padded input")
        if kind is PoolKind.AVERAGE and padding != (0, 0):
            raise arguments.refuse("padding", "an average without padding")
        return Layer(Pool(kind, Window(size, stride, padding, dilation)), (source.number,), shape_of(source.shape))

    return read


def _whole_average(arguments: Arguments, shape: tuple[int, ...]) -> Layer:
    """adaptive_avg_pool and mean: averages over parts of equal size."""
    source = arguments.source()
    takes = shape_of(source.shape)
    if arguments.operator == "mean":
        axes = {axis % (len(source.shape) + 1) for axis in arguments["dim"]}
        if axes != set(range(2, len(source.shape) + 1)) or not axes:
            raise arguments.refuse(f"over axes {arguments['dim']}", "over all positions of each channel")
        size = (takes[1], takes[2])
    else:
        into = _pair(arguments["output_size"], 1)
        if takes[1] % into[0] or takes[2] % into[1]:
            raise arguments.refuse(f"{takes[1:]} into {into}", "parts of equal size")
        size = (takes[1] // into[0], takes[2] // into[1])
    return Layer(Pool(PoolKind.AVERAGE, Window(size, size)), (source.number,), takes)


def _pad(arguments: Arguments, shape: tuple[int, ...]) -> Value:
    source, edges, mode = arguments.source(), list(arguments["pad"]), arguments["mode"]
    if mode not in ("constant", "circular") or (mode == "constant" and arguments["value"] not in (None, 0)):
        raise arguments.refuse(f"mode {mode}, value {arguments['value']}", "zeros or circular")
    pairs = list(zip(edges[::2], edges[1::2], strict=True))
    if any(a != b or a < 0 for a, b in pairs) or len(pairs) > len(source.shape) - 1:
        raise arguments.refuse(f"padding {edges}", "the same on both sides of height and width")
    across = pairs[0][0]
    return Value(source.number, source.shape, (pairs[1][0] if len(pairs) > 1 else 0, across), mode == "circular")


def _reshape(arguments: Arguments, shape: tuple[int, ...]) -> Value:
    return Value(arguments.source().number, shape)


def _array(arguments: Arguments, name: str) -> Array:
    found = arguments[name]
    if not isinstance(found, torch.Tensor):
        raise arguments.refuse(f"{name} is {type(found).__name__}", f"{name} is constant")
    array: Array = found.detach().cpu().to(torch.float32).numpy()
    return array


def _bias(arguments: Arguments, size: int) -> Array:
    return np.zeros(size, np.float32) if arguments["bias"] is None else _array(arguments, "bias")


def _pair(given: Any, across: int, axes: int = 0) -> Pair:
    """One number for both axes, or one each; of a series the only one, and `across` for its height."""
    numbers = [int(each) for each in given] if isinstance(given, Sequence) else [int(given)]
    if axes == 2 or (len(numbers) == 1 and not axes and isinstance(given, Sequence)):
        return across, numbers[0]
    return (numbers[0], numbers[0]) if len(numbers) == 1 else (numbers[0], numbers[1])


_SHIFT = _arithmetic(np.ones_like, lambda c: c)

READERS: dict[str, Reader] = {
    "conv1d": _convolution,
    "conv2d": _convolution,
    "linear": _linear,
    "batch_norm": _batch_norm,
    "relu": _activation(Kind.RELU),
    "leaky_relu": _activation(Kind.LEAKY_RELU),
    "sigmoid": _activation(Kind.SIGMOID),
    "tanh": _activation(Kind.TANH),
    "softmax": _softmax,
    "max_pool1d": _pool(PoolKind.MAX),
    "max_pool2d": _pool(PoolKind.MAX),
    "avg_pool1d": _pool(PoolKind.AVERAGE),
    "avg_pool2d": _pool(PoolKind.AVERAGE),
    "adaptive_avg_pool1d": _whole_average,
    "adaptive_avg_pool2d": _whole_average,
    "mean": _whole_average,
    "add": _add,
    "sub": _arithmetic(np.ones_like, lambda c: -c),
    "mul": _arithmetic(lambda c: c, np.zeros_like),
    "div": _arithmetic(lambda c: 1 / c, np.zeros_like),
    "pad": _pad,
    "flatten": _reshape,
    "view": _reshape,
    "reshape": _reshape,
    "squeeze": _reshape,
    "unsqueeze": _reshape,
    "unflatten": _reshape,
}
