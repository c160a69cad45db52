"""Padding, pooling and convolution as statements.

Padded inputs are written out with their borders, so that windows have no conditions. A pooling goes along one dimension
at a time. A convolution of one channel to a group is
written out tap by tap; others become matrix products of
unfolded inputs. What is not covered raises Unsupported: dilation in pooling, ceil_mode, transposed and 3-d convolution.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import reduce
from math import prod
from typing import Any

import sympy

from assay.core.dtypes import DType
from assay.engineer.codegen import index as ix
from assay.engineer.codegen import values as vs
from assay.engineer.codegen.index import Loop, Size
from assay.engineer.codegen.program import Kind, Product, Statement, Unsupported
from assay.engineer.codegen.scalars import Scalar, call, constant
from assay.engineer.codegen.values import Builder, Value
from assay.engineer.graph import Node, Reference

_MOST_TAPS = 49
"""A window of 7 x 7; larger ones make a body that no longer fits the registers by far."""


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
    return vs.stored(buffer.name, buffer.shape, buffer.stride, buffer.dtype)


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


def convolution(lowering: Builder, node: Node) -> Value:
    """aten.convolution in one or two dimensions."""
    value, weight = lowering.one(node.arguments[0]), lowering.one(node.arguments[1])
    bias, step, pad, dilation, transposed, _, groups = node.arguments[2:9]
    dims = len(value.shape) - 2
    if transposed or dims not in (1, 2) or node.type.dtype is not DType.FLOAT32:
        raise Unsupported("transposed or 3-d convolution")
    step, pad, dilation = ([int(each) for each in given] for given in (step, pad, dilation))
    if any(pad):
        borders = [sympy.Integer(0)] * 2 + [sympy.Integer(p) for p in pad]
        value = padded(lowering, value, borders, borders, 0.0)
    if weight.shape[1] == 1 and weight.shape[0] == value.shape[1] == groups:
        made = _depthwise(lowering, value, weight, step, dilation, node.type.shape)
    elif groups == 1:
        made = _unfolded(lowering, value, weight, step, dilation, node.type.shape)
    else:
        raise Unsupported("grouped convolution")
    if isinstance(bias, Reference):
        made = vs.mapped("add", made.dtype, [made, vs.broadcast(lowering.one(bias), made.shape, [1])])
    return made


def _depthwise(
    lowering: Builder, value: Value, weight: Value, step: Sequence[int], dilation: Sequence[int], shape: Sequence[Size]
) -> Value:
    window = [int(size) for size in weight.shape[2:]]
    if prod(window) > _MOST_TAPS:
        raise Unsupported(f"a depthwise convolution of {prod(window)} taps")

    def at(index: vs.Index) -> Scalar:
        batch, channel, *place = index
        total: Scalar | None = None
        for taps in itertools.product(*map(range, window)):
            here = [p * s + t * d for p, t, s, d in zip(place, taps, step, dilation, strict=True)]
            factor = weight.at((channel, sympy.Integer(0), *map(sympy.Integer, taps)))
            term = call(value.dtype, "mul", value.at((batch, channel, *here)), factor)
            total = term if total is None else call(value.dtype, "add", total, term)
        assert total is not None
        return total

    return lowering.stored(Value(tuple(shape), value.dtype, at))


def _unfolded(
    lowering: Builder, value: Value, weight: Value, step: Sequence[int], dilation: Sequence[int], shape: Sequence[Size]
) -> Value:
    """weight [out, in x window] @ columns [in x window, places], for each of a batch."""
    dims = len(shape) - 2
    window, places = weight.shape[2:], tuple(shape[2:])
    columns_shape = (shape[0], value.shape[1], *window, *places)

    def at(index: vs.Index) -> Scalar:
        batch, channel, taps, place = index[0], index[1], index[2 : 2 + dims], index[2 + dims :]
        here = [p * s + t * d for p, t, s, d in zip(place, taps, step, dilation, strict=True)]
        return value.at((batch, channel, *here))

    plain = all(size == 1 for size in window) and all(s == 1 for s in step)
    columns = lowering.stored(value if plain else Value(columns_shape, value.dtype, at))
    buffer = lowering.new(shape, value.dtype)
    k, n = ix.product((value.shape[1], *window)), ix.product(places)
    kernel = lowering.stored(weight)
    assert kernel.buffer is not None
    assert columns.buffer is not None
    lowering.program.steps.append(
        Product(buffer.name, kernel.buffer, columns.buffer, shape[0], shape[1], n, k, False, False, left_shared=True)
    )
    return vs.stored(buffer.name, buffer.shape, buffer.stride, buffer.dtype)


GENERATORS: dict[str, Callable[[Builder, Node], Value | tuple[Value | None, ...]]] = {
    "aten.constant_pad_nd": constant_pad,
    "aten.max_pool2d_with_indices": max_pool,
    "aten.avg_pool2d": avg_pool,
    "aten.convolution": convolution,
}
"""By operator."""
