"""Padding and pooling as statements.

Padded inputs are written out with their borders, so that windows have no conditions. A pooling goes along one dimension
at a time. What is not covered raises Unsupported: dilation
in pooling and ceil_mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import sympy

from assay.core.dtypes import DType
from assay.engineer.codegen import index as ix
from assay.engineer.codegen import values as vs
from assay.engineer.codegen.index import Loop, Size
from assay.engineer.codegen.program import Kind, Statement, Unsupported
from assay.engineer.codegen.scalars import Scalar, call, constant, position
from assay.engineer.codegen.values import Builder, Generator, Value
from assay.engineer.graph import Node


def padded(lowering: Builder, value: Value, before: Sequence[Size], after: Sequence[Size], fill: float) -> Value:
    """The value with borders of `fill`, in a buffer: written in pieces, one for the inside and two for each border."""
    shape = [b + n + a for b, n, a in zip(before, value.shape, after, strict=True)]
    buffer = lowering.new(shape, value.dtype)

    def piece(sizes: Sequence[Size], starts: Sequence[Size], inside: bool) -> None:
        axes = tuple(Loop("i", size) for size in sizes)
        at = [i + s for i, s in zip(axes, starts, strict=True)]
        body = value.at(axes) if inside else constant(value.dtype, fill)
        target = ix.flatten(at, buffer.stride)
        lowering.program.steps.append(Statement(Kind.MAP, buffer.name, axes, target, body))

    zero = sympy.Integer(0)
    piece(value.shape, before, inside=True)
    for dim in range(len(shape)):
        # Dimensions before this one: the inside only; those after it: everything.
        sizes = [*value.shape[:dim], zero, *shape[dim + 1 :]]
        starts = [*before[:dim], zero, *[zero] * (len(shape) - dim - 1)]
        for size, start in ((before[dim], zero), (after[dim], before[dim] + value.shape[dim])):
            if size != 0:
                sizes[dim], starts[dim] = size, start
                piece(sizes, starts, inside=False)
    return vs.held(buffer)


def constant_pad(lowering: Builder, node: Node) -> Value:
    """aten.constant_pad_nd: pairs of widths from the last dimension on."""
    value, pads = lowering.one(node.arguments[0]), [sympy.sympify(p) for p in node.arguments[1]]
    fill = node.arguments[2] if len(node.arguments) > 2 else 0
    if any(p.is_negative for p in pads):
        raise Unsupported("padding that cuts")
    rank = len(value.shape)
    before, after = [sympy.Integer(0)] * rank, [sympy.Integer(0)] * rank
    for place in range(len(pads) // 2):
        before[rank - 1 - place], after[rank - 1 - place] = pads[2 * place], pads[2 * place + 1]
    return padded(lowering, value, before, after, fill)


def _pairs(given: Any, default: Sequence[int]) -> list[int]:
    numbers = [int(each) for each in (given if given else default)]
    return numbers * 2 if len(numbers) == 1 else numbers


def _pooled(
    lowering: Builder, value: Value, window: Sequence[int], step: Sequence[int], pad: Sequence[int],
    sizes: Sequence[Size], operation: str,
) -> Value:  # fmt: skip
    """Along the last dimension but one first, where whole rows are combined, then along the last."""
    rank = len(value.shape)
    fill = 0.0 if operation == "sum" else float("-inf")
    borders = [sympy.Integer(0)] * (rank - 2) + [sympy.Integer(p) for p in pad]
    if any(pad):
        value = padded(lowering, value, borders, borders, fill)
    for dim, width, stride, size in zip((rank - 2, rank - 1), window, step, sizes, strict=True):
        if width == 1 and stride == 1:
            continue
        value = _along(lowering, value, dim, width, stride, size, operation)
    return value


def _along(lowering: Builder, value: Value, dim: int, width: int, stride: int, size: Size, operation: str) -> Value:
    """One element from `width` neighbours along one dimension, all written out: a loop would keep its sum in memory."""
    shape = (*value.shape[:dim], size, *value.shape[dim + 1 :])
    function = {"sum": "add", "max": "maximum"}[operation]

    def at(index: vs.Index) -> Scalar:
        places = ((*index[:dim], index[dim] * stride + tap, *index[dim + 1 :]) for tap in range(width))
        return reduce(lambda a, b: call(value.dtype, function, a, b), map(value.at, places))

    return lowering.stored(Value(shape, value.dtype, at))


def max_pool(lowering: Builder, node: Node) -> tuple[Value | None, ...]:
    """aten.max_pool2d_with_indices, without the indices."""
    value, window = lowering.one(node.arguments[0]), _pairs(node.arguments[1], ())
    rest = [*node.arguments[2:], *[None] * 4][:4]
    step, pad, dilation = _pairs(rest[0], window), _pairs(rest[1], (0, 0)), _pairs(rest[2], (1, 1))
    if dilation != [1, 1] or rest[3]:
        raise Unsupported("pooling with dilation or ceil_mode")
    kind = node.types[0]
    assert kind is not None
    return (_pooled(lowering, value, window, step, pad, kind.shape[-2:], "max"), None)


def avg_pool(lowering: Builder, node: Node) -> Value:
    """aten.avg_pool2d that counts its padding, or has none."""
    value, window = lowering.one(node.arguments[0]), _pairs(node.arguments[1], ())
    rest = [*node.arguments[2:], *[None] * 5][:5]
    step, pad = _pairs(rest[0], window), _pairs(rest[1], (0, 0))
    counts_padding = rest[3] is None or bool(rest[3])
    if rest[2] or (any(pad) and not counts_padding):
        raise Unsupported("average pooling with ceil_mode or without counting its padding")
    total = _pooled(lowering, value, window, step, pad, node.type.shape[-2:], "sum")
    divisor = rest[4] or window[0] * window[1]
    return vs.mapped("mul", node.type.dtype, [total, vs.filled(total.shape, total.dtype, 1.0 / divisor)])


def adaptive_avg_pool(lowering: Builder, node: Node) -> Value:
    """aten._adaptive_avg_pool2d: windows of different sizes that share borders, along one dimension at a time."""
    value, dtype = lowering.one(node.arguments[0]), node.type.dtype
    counts = [sympy.sympify(size) for size in node.arguments[1]]
    sizes, rank = value.shape[-2:], len(value.shape)
    total = value
    for dim, count in zip((rank - 2, rank - 1), counts, strict=True):
        total = _adaptive_along(lowering, total, dim, count)

    def mean(index: vs.Index) -> Scalar:
        (_, tall), (_, wide) = (_window(p, c, s) for p, c, s in zip(index[-2:], counts, sizes, strict=True))
        return call(dtype, "div", total.at(index), position(dtype, tall * wide))

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
    "aten.constant_pad_nd": constant_pad,
    "aten.max_pool2d_with_indices": max_pool,
    "aten.avg_pool2d": avg_pool,
    "aten._adaptive_avg_pool2d": adaptive_avg_pool,
}
"""By operator."""
