"""Convolution as statements.

One channel to a group is written out tap by tap; others become matrix products of unfolded inputs. A transposed
convolution is a matrix product whose columns are then gathered: each output of a phase (its place modulo the step) sums
the same taps. What is not covered raises Unsupported: groups of several channels, and three dimensions.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from math import prod

import sympy

from assay.core.dtypes import DType
from assay.engineer.codegen import index as ix
from assay.engineer.codegen import values as vs
from assay.engineer.codegen.index import Loop, Size
from assay.engineer.codegen.program import Kind, Product, Statement, Unsupported
from assay.engineer.codegen.scalars import Scalar, call, constant, position
from assay.engineer.codegen.values import Builder, Value
from assay.engineer.codegen.windows import padded
from assay.engineer.graph import Node, Reference

_MOST_TAPS = 49
"""A window of 7 x 7; larger ones make a body that no longer fits the registers by far."""


def convolution(lowering: Builder, node: Node) -> Value:
    """aten.convolution in one or two dimensions."""
    value, weight = lowering.one(node.arguments[0]), lowering.one(node.arguments[1])
    bias, step, pad, dilation, transposed, _, groups = node.arguments[2:9]
    dims = len(value.shape) - 2
    if dims not in (1, 2) or node.type.dtype is not DType.FLOAT32:
        raise Unsupported("3-d convolution")
    step, pad, dilation = ([int(each) for each in given] for given in (step, pad, dilation))
    if any(pad) and not transposed:
        borders = [sympy.Integer(0)] * 2 + [sympy.Integer(p) for p in pad]
        value = padded(lowering, value, borders, borders, 0.0)
    if transposed:
        if groups != 1 or any(d != 1 for d in dilation):
            raise Unsupported("transposed convolution with groups or dilation")
        made = _transposed(lowering, value, weight, step, pad, node.type.shape)
    elif weight.shape[1] == 1 and weight.shape[0] == value.shape[1] == groups:
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


def _transposed(
    lowering: Builder, value: Value, weight: Value, step: Sequence[int], pad: Sequence[int], shape: Sequence[Size]
) -> Value:
    """columns [out x window, places] = weight' @ value, then every output from the columns that reach it."""
    window = [int(size) for size in weight.shape[2:]]
    batch, channels, places = value.shape[0], weight.shape[1], value.shape[2:]
    columns = lowering.new((batch, channels, *weight.shape[2:], *places), value.dtype)
    kernel, inputs = lowering.stored(weight), lowering.stored(value)
    assert kernel.buffer is not None
    assert inputs.buffer is not None
    m = sympy.expand(channels * prod(window))
    lowering.program.steps.append(
        Product(columns.name, kernel.buffer, inputs.buffer, batch, m, ix.product(places), weight.shape[0], True, False,
                left_shared=True)
    )  # fmt: skip
    found = vs.stored(columns.name, columns.shape, columns.stride, columns.dtype)
    buffer = lowering.new(shape, value.dtype)
    for phases in itertools.product(*(range(s) for s in step)):
        sizes = [ix.floor_div(n - 1 - p + s, sympy.Integer(s)) for n, p, s in zip(shape[2:], phases, step, strict=True)]
        axes = tuple(Loop("i", size) for size in (batch, channels, *sizes))
        at = [q * s + p for q, s, p in zip(axes[2:], step, phases, strict=True)]
        body = _gathered(found, axes, phases, window, step, pad, places)
        target = ix.flatten((*axes[:2], *at), buffer.stride)
        lowering.program.steps.append(Statement(Kind.MAP, buffer.name, axes, target, body))
    return vs.stored(buffer.name, buffer.shape, buffer.stride, buffer.dtype)


def _gathered(
    columns: Value, axes: Sequence[Loop], phases: Sequence[int], window: Sequence[int], step: Sequence[int],
    pad: Sequence[int], places: Sequence[Size],
) -> Scalar:  # fmt: skip
    """The sum over the taps that reach an output of a phase; places outside the input count nothing."""
    dtype = columns.dtype
    choices = []
    for dim, (phase, k, s, p) in enumerate(zip(phases, window, step, pad, strict=True)):
        first, rest = divmod(phase + p, s)
        taps = range(rest, k, s)
        choices.append([(tap, axes[2 + dim] + first - number) for number, tap in enumerate(taps)])
    total: Scalar = constant(dtype, 0.0)
    for picks in itertools.product(*choices):
        inside: Scalar = constant(DType.BOOL, True)
        safe = []
        for (_, place), size in zip(picks, places, strict=True):
            low = call(DType.BOOL, "ge", position(DType.INT64, place), constant(DType.INT64, 0))
            high = call(DType.BOOL, "lt", position(DType.INT64, place), position(DType.INT64, size))
            inside = call(DType.BOOL, "bitwise_and", inside, call(DType.BOOL, "bitwise_and", low, high))
            safe.append(sympy.Max(sympy.Min(place, size - 1), 0))
        one = columns.at((axes[0], axes[1], *(sympy.Integer(tap) for tap, _ in picks), *safe))
        total = call(dtype, "add", total, call(dtype, "where", inside, one, constant(dtype, 0.0)))
    return total


GENERATORS: dict[str, Callable[[Builder, Node], Value | tuple[Value | None, ...]]] = {"aten.convolution": convolution}
"""By operator."""
