"""Pooling as statements, along one dimension at a time, on inputs that are written out with their borders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import prod
from typing import Any

import sympy

from assay.core.dtypes import DType
from assay.engineer.codegen import index as ix
from assay.engineer.codegen import values as vs
from assay.engineer.codegen.index import Size
from assay.engineer.codegen.padding import padded
from assay.engineer.codegen.scalars import Scalar, call, constant, position
from assay.engineer.codegen.values import Builder, Generator, Value
from assay.engineer.graph import Node


@dataclass(frozen=True, slots=True)
class _Window:
    """What an output sees along one dimension: `width` places `dilation` apart; the next one sees `step` further."""

    width: int
    step: int
    pad: int
    dilation: int
    size: Size
    outputs: Size

    def beyond(self, ceil: bool) -> Size:
        """How far windows may reach over the input's end: with ceil_mode, further than the border."""
        last = (self.outputs - 1) * self.step - self.pad + (self.width - 1) * self.dilation
        return sympy.Max(sympy.expand(last + 1 - self.size), self.pad) if ceil else sympy.Integer(self.pad)


def _windows(value: Value, outputs: Sequence[Size], *numbers: Any) -> list[_Window]:
    """From an operator's lists of widths, steps, borders and distances, each of which may be one for all."""
    dims = len(numbers[0]) if len(numbers[0]) > 1 else min(len(outputs), len(value.shape))
    widths, steps, pads, dilations = (
        [int(n) for n in several] * (1 if len(several) > 1 else dims) for several in numbers
    )
    sizes = value.shape[-dims:]
    return [_Window(*each) for each in zip(widths, steps, pads, dilations, sizes, outputs[-dims:], strict=True)]


def _pooled(lowering: Builder, value: Value, windows: Sequence[_Window], operation: str, ceil: bool) -> Value:
    """Along the first dimension first, where whole rows are combined, along the last one last."""
    first = len(value.shape) - len(windows)
    fill = 0.0 if operation == "sum" else float("-inf")
    none = [sympy.Integer(0)] * first
    before = [*none, *(sympy.Integer(one.pad) for one in windows)]
    after = [*none, *(one.beyond(ceil) for one in windows)]
    if any(size != 0 for size in (*before, *after)):
        value = padded(lowering, value, before, after, fill)
    for dim, window in enumerate(windows, start=first):
        if window.width > 1 or window.step > 1:
            value = _along(lowering, value, dim, window, operation)
    return value


def _along(lowering: Builder, value: Value, dim: int, window: _Window, operation: str) -> Value:
    """One element from neighbours along one dimension, all written out: a loop would keep its sum in memory."""
    shape = (*value.shape[:dim], window.outputs, *value.shape[dim + 1 :])
    function = {"sum": "add", "max": "maximum"}[operation]

    def at(index: vs.Index) -> Scalar:
        first = index[dim] * window.step
        places = ((*index[:dim], first + tap * window.dilation, *index[dim + 1 :]) for tap in range(window.width))
        return reduce(lambda a, b: call(value.dtype, function, a, b), map(value.at, places))

    return lowering.stored(Value(shape, value.dtype, at))


def max_pool(lowering: Builder, node: Node) -> tuple[Value | None, ...]:
    """aten.max_pool2d_with_indices and max_pool3d_with_indices, without the indices."""
    value, width = lowering.one(node.arguments[0]), node.arguments[1]
    step, pad, dilation, ceil = [*node.arguments[2:], *[None] * 4][:4]
    kind = node.types[0]
    assert kind is not None
    windows = _windows(value, kind.shape, width, step or width, pad or [0], dilation or [1])
    return (_pooled(lowering, value, windows, "max", bool(ceil)), None)


def avg_pool(lowering: Builder, node: Node) -> Value:
    """aten.avg_pool2d and avg_pool3d."""
    value, width = lowering.one(node.arguments[0]), node.arguments[1]
    step, pad, ceil, counts, divisor = [*node.arguments[2:], *[None] * 5][:5]
    windows = _windows(value, node.type.shape, width, step or width, pad or [0], [1])
    total, dtype = _pooled(lowering, value, windows, "sum", bool(ceil)), node.type.dtype
    counts_border = counts is None or bool(counts)
    if divisor or not (ceil or (any(one.pad for one in windows) and not counts_border)):
        number = 1.0 / (divisor or prod(one.width for one in windows))
        return vs.mapped("mul", dtype, [total, vs.filled(total.shape, dtype, number)])

    def mean(index: vs.Index) -> Scalar:
        places = zip(windows, index[-len(windows) :], strict=True)
        count = ix.product(_elements(window, place, counts_border) for window, place in places)
        return call(dtype, "div", total.at(index), position(dtype, count))

    return Value(total.shape, dtype, mean)


def _elements(window: _Window, place: Size, counts_border: bool) -> Size:
    """How many elements a window counts: never any beyond the border."""
    first, border = place * window.step - window.pad, window.pad if counts_border else 0
    last = sympy.Min(first + window.width, window.size + border)
    return last - (first if counts_border else sympy.Max(first, 0))


def adaptive_avg_pool(lowering: Builder, node: Node) -> Value:
    """aten._adaptive_avg_pool2d and 3d: windows of different sizes that share borders."""
    value, dtype = lowering.one(node.arguments[0]), node.type.dtype
    counts = [sympy.sympify(size) for size in node.arguments[1]]
    dims, total = len(counts), value
    sizes = value.shape[-dims:]
    for dim, count in enumerate(counts, start=len(value.shape) - dims):
        total = _adaptive_along(lowering, total, dim, count)

    def mean(index: vs.Index) -> Scalar:
        windows = (_window(p, c, s) for p, c, s in zip(index[-dims:], counts, sizes, strict=True))
        return call(dtype, "div", total.at(index), position(dtype, ix.product(length for _, length in windows)))

    return Value(total.shape, dtype, mean)


def _window(place: Size, count: Size, size: Size) -> tuple[Size, Size]:
    """Where the window of an output begins, and how long it is."""
    first = ix.floor_div(sympy.expand(place * size), count)
    return first, ix.floor_div(sympy.expand((place + 1) * size + count - 1), count) - first


def _adaptive_along(lowering: Builder, value: Value, dim: int, count: Size) -> Value:
    """Sums of `count` windows along one dimension, by a mask over the longest."""
    size, dtype = value.shape[dim], value.dtype
    # A window reaches over at most size // count + 2 elements.
    shape = (*value.shape[:dim], count, *value.shape[dim + 1 :], ix.floor_div(size, count) + 2)

    def at(index: vs.Index) -> Scalar:
        *outer, tap = index
        first, length = _window(outer[dim], count, size)
        inside = call(DType.BOOL, "lt", position(DType.INT64, tap), position(DType.INT64, length))
        here = value.at((*outer[:dim], sympy.Min(first + tap, size - 1), *outer[dim + 1 :]))
        return call(dtype, "where", inside, here, constant(dtype, 0.0))

    return lowering.reduced(Value(shape, dtype, at), [len(shape) - 1], "sum", dtype)


GENERATORS: dict[str, Generator] = {
    "aten.max_pool2d_with_indices": max_pool,
    "aten.max_pool3d_with_indices": max_pool,
    "aten.avg_pool2d": avg_pool,
    "aten.avg_pool3d": avg_pool,
    "aten._adaptive_avg_pool2d": adaptive_avg_pool,
    "aten._adaptive_avg_pool3d": adaptive_avg_pool,
}
"""By operator."""
