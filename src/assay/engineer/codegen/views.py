"""Operators that only say where elements lie, and those that put them elsewhere."""

from __future__ import annotations

import sympy

from assay.engineer.codegen import index as ix
from assay.engineer.codegen import values as vs
from assay.engineer.codegen.program import Kind, Statement, Unsupported
from assay.engineer.codegen.values import Builder, Generator, Value
from assay.engineer.graph import Node, Reference

_SAME = ("prims.clone", "prims.view_of", "aten.alias", "prims.copy_strided", "aten.clone", "prims.device_put")

VIEWS = frozenset({"aten.as_strided", "prims.broadcast_in_dim", "prims.transpose", "prims.split_dim",
                   "prims.collapse_view", "prims.squeeze", "prims.view_of", "aten.alias"})  # fmt: skip
"""Results that share their argument's memory, so that as_strided of them means that."""


def broadcast(lowering: Builder, node: Node) -> Value:
    """prims.broadcast_in_dim."""
    return vs.broadcast(lowering.one(node.arguments[0]), node.type.shape, node.arguments[2])


def transposed(lowering: Builder, node: Node) -> Value:
    """prims.transpose: dimensions in another order."""
    return vs.permuted(lowering.one(node.arguments[0]), node.arguments[1])


def split(lowering: Builder, node: Node) -> Value:
    """prims.split_dim: one dimension as two."""
    return vs.split(lowering.one(node.arguments[0]), node.arguments[1], sympy.sympify(node.arguments[2]))


def collapsed(lowering: Builder, node: Node) -> Value:
    """prims.collapse_view: several dimensions as one."""
    return vs.collapsed(lowering.one(node.arguments[0]), node.arguments[1], node.arguments[2])


def squeezed(lowering: Builder, node: Node) -> Value:
    """prims.squeeze: without dimensions of size one."""
    value = lowering.one(node.arguments[0])
    gone = {d % len(value.shape) for d in node.arguments[1]}
    rest = [d for d in range(len(value.shape)) if d not in gone]

    def where(at: vs.Index) -> vs.Index:
        inner = iter(at)
        return tuple(sympy.Integer(0) if d in gone else next(inner) for d in range(len(value.shape)))

    return vs.viewed(value, [value.shape[d] for d in rest], where, same_order=True)


def strided(lowering: Builder, node: Node) -> Value:
    """aten.as_strided, of what the argument is itself a view of."""
    base = node.arguments[0].name
    root = lowering.roots.get(base, base)
    value, kind = lowering.one(Reference(root)), lowering.nodes[root].type
    shape, stride, *rest = node.arguments[1:]
    offset = sympy.sympify(rest[0] if rest and rest[0] is not None else 0)
    shape, stride = [sympy.sympify(s) for s in shape], [sympy.sympify(s) for s in stride]
    if not ix.is_contiguous(kind.shape, kind.stride):
        raise Unsupported("as_strided of a tensor that is not contiguous")
    return vs.strided(value, shape, stride, offset)


def turned_around(lowering: Builder, node: Node) -> Value:
    """prims.rev: back to front."""
    value = lowering.one(node.arguments[0])
    turned = {d % len(value.shape) for d in node.arguments[1]}
    shape = value.shape
    return vs.viewed(value, shape, lambda at: tuple(shape[d] - 1 - i if d in turned else i for d, i in enumerate(at)))


def concatenated(lowering: Builder, node: Node) -> Value:
    """prims.cat: each part is written to its place."""
    dim = node.arguments[1]
    buffer = lowering.new(node.type.shape, node.type.dtype)
    start = sympy.Integer(0)
    for argument in node.arguments[0]:
        part = lowering.one(argument)
        axes = part.loops()
        at = tuple(i + start if d == dim else i for d, i in enumerate(axes))
        target = ix.flatten(at, buffer.stride)
        lowering.program.steps.append(Statement(Kind.MAP, buffer.name, axes, target, part.at(axes)))
        start = start + part.shape[dim]
    return vs.held(buffer)


def selected(lowering: Builder, node: Node) -> Value:
    """aten.select: one place of a dimension, which goes."""
    value, dim, place = lowering.one(node.arguments[0]), node.arguments[1], sympy.sympify(node.arguments[2])
    dim %= len(value.shape)
    if place.is_negative:
        place = place + value.shape[dim]
    return vs.viewed(value, node.type.shape, lambda at: (*at[:dim], place, *at[dim:]))


def _itself(lowering: Builder, node: Node) -> Value:
    return lowering.one(node.arguments[0])


GENERATORS: dict[str, Generator] = {
    **dict.fromkeys(_SAME, _itself),
    "prims.broadcast_in_dim": broadcast,
    "prims.transpose": transposed,
    "prims.split_dim": split,
    "prims.collapse_view": collapsed,
    "prims.collapse": collapsed,
    "prims.squeeze": squeezed,
    "aten.as_strided": strided,
    "prims.rev": turned_around,
    "prims.cat": concatenated,
    "aten.select.int": selected,
}
"""By operator."""
