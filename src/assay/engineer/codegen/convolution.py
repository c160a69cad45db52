"""Convolution as statements: of one channel to a group, or turned, or by our own routine."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from math import prod

import sympy

from assay.core.dtypes import DType
from assay.engineer.codegen import values as vs
from assay.engineer.codegen.direct import Window, biased, direct
from assay.engineer.codegen.index import Size
from assay.engineer.codegen.padding import padded
from assay.engineer.codegen.program import Unsupported
from assay.engineer.codegen.scalars import Scalar, call
from assay.engineer.codegen.transposed import transposed
from assay.engineer.codegen.values import Builder, Generator, Value
from assay.engineer.graph import Node, Reference

_MOST_TAPS = 49
"""A window of 7 x 7; larger ones make a body that no longer fits the registers by far."""


def convolution(lowering: Builder, node: Node) -> Value:
    """aten.convolution in one to three dimensions."""
    value, weight = lowering.one(node.arguments[0]), lowering.one(node.arguments[1])
    given, step, pad, dilation, turned, _, groups = node.arguments[2:9]
    dims = len(value.shape) - 2
    if dims not in (1, 2, 3) or node.type.dtype is not DType.FLOAT32:
        raise Unsupported(f"a convolution of {dims} dimensions in {node.type.dtype.value}")
    step, pad, dilation = ([int(each) for each in numbers] for numbers in (step, pad, dilation))
    bias = lowering.one(given) if isinstance(given, Reference) else None
    shape = node.type.shape
    window = Window(weight.shape[2:], step, dilation)
    if not turned:
        taps = prod(int(size) for size in window.sizes)
        if weight.shape[1] == 1 and weight.shape[0] == value.shape[1] == groups and dims < 3 and taps <= _MOST_TAPS:
            borders = [sympy.Integer(0)] * 2 + [sympy.Integer(p) for p in pad]
            value = padded(lowering, value, borders, borders, 0.0) if any(pad) else value
            return biased(_depthwise(lowering, value, weight, window, shape), bias)
        return direct(lowering, value, weight, bias, window, pad, shape, int(groups))
    return transposed(lowering, value, weight, bias, window, pad, shape, int(groups))


def _depthwise(lowering: Builder, value: Value, weight: Value, window: Window, shape: Sequence[Size]) -> Value:

    def at(index: vs.Index) -> Scalar:
        batch, channel, *place = index
        total: Scalar | None = None
        for taps in itertools.product(*(range(int(size)) for size in window.sizes)):
            here = [p * s + t * d for p, t, s, d in zip(place, taps, window.step, window.dilation, strict=True)]
            factor = weight.at((channel, sympy.Integer(0), *map(sympy.Integer, taps)))
            term = call(value.dtype, "mul", value.at((batch, channel, *here)), factor)
            total = term if total is None else call(value.dtype, "add", total, term)
        assert total is not None
        return total

    return lowering.stored(Value(tuple(shape), value.dtype, at))


GENERATORS: dict[str, Generator] = {"aten.convolution": convolution}
"""By operator."""
