"""Padding as statements: values are written out with their borders, so that windows have no conditions."""

from __future__ import annotations

from collections.abc import Sequence

import sympy

from assay.engineer.codegen import index as ix
from assay.engineer.codegen import values as vs
from assay.engineer.codegen.index import Loop, Size
from assay.engineer.codegen.program import Kind, Statement, Unsupported
from assay.engineer.codegen.scalars import constant
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


GENERATORS: dict[str, Generator] = {"aten.constant_pad_nd": constant_pad}
"""By operator."""
