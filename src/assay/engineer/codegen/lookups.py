"""Operators whose places are data: elements that are looked up, and elements that are put where data says."""

from __future__ import annotations

import sympy

from assay.core.dtypes import DType
from assay.engineer.codegen import index as ix
from assay.engineer.codegen import values as vs
from assay.engineer.codegen.index import Lookup
from assay.engineer.codegen.program import Buffer, Kind, Statement, Unsupported
from assay.engineer.codegen.scalars import Scalar, call, constant, position
from assay.engineer.codegen.values import Builder, Generator, Value
from assay.engineer.graph import Node, Reference


def gather(lowering: Builder, node: Node) -> Value:
    """aten.gather."""
    value, dim, index = lowering.one(node.arguments[0]), node.arguments[1], lowering.one(node.arguments[2])
    dim %= len(value.shape)

    def at(where: vs.Index) -> Scalar:
        return value.at((*where[:dim], Lookup(index.at(where)), *where[dim + 1 :]))

    return Value(index.shape, value.dtype, at, heavy=value.heavy)


def index_select(lowering: Builder, node: Node) -> Value:
    """aten.index_select."""
    value, dim, index = lowering.one(node.arguments[0]), node.arguments[1], lowering.one(node.arguments[2])
    dim %= len(value.shape)

    def at(where: vs.Index) -> Scalar:
        return value.at((*where[:dim], Lookup(index.at((where[dim],))), *where[dim + 1 :]))

    return Value(node.type.shape, value.dtype, at, heavy=value.heavy)


def embedding(lowering: Builder, node: Node) -> Value:
    """aten.embedding: rows of a table."""
    table, index = lowering.one(node.arguments[0]), lowering.one(node.arguments[1])

    def at(where: vs.Index) -> Scalar:
        return table.at((Lookup(index.at(where[:-1])), where[-1]))

    return Value(node.type.shape, table.dtype, at, heavy=table.heavy)


def indexed(lowering: Builder, node: Node) -> Value:
    """aten.index by one tensor, whose negative places count from the end."""
    value = lowering.one(node.arguments[0])
    if len(node.arguments[1]) != 1 or not isinstance(node.arguments[1][0], Reference):
        raise Unsupported("indexing by more than one tensor")
    index = lowering.one(node.arguments[1][0])
    if index.dtype is DType.BOOL:
        raise Unsupported("indexing by a mask")
    rank = len(index.shape)

    def at(where: vs.Index) -> Scalar:
        raw = index.at(where[:rank])
        turned = call(raw.dtype, "add", raw, position(raw.dtype, value.shape[0]))
        negative = call(DType.BOOL, "lt", raw, constant(raw.dtype, 0))
        return value.at((Lookup(call(raw.dtype, "where", negative, turned, raw)), *where[rank:]))

    return Value(node.type.shape, value.dtype, at, heavy=value.heavy)


def _copied_first(lowering: Builder, value: Value) -> Buffer:
    """A buffer of its own that begins as the value, for a scatter to change."""
    buffer = lowering.new(value.shape, value.dtype)
    axes = value.loops()
    lowering.program.steps.append(
        Statement(Kind.MAP, buffer.name, axes, ix.flatten(axes, buffer.stride), value.at(axes))
    )
    return buffer


def index_add(lowering: Builder, node: Node) -> Value:
    """aten.index_add."""
    base, index, source = (lowering.one(node.arguments[place]) for place in (0, 2, 3))
    if node.options.get("alpha", 1) != 1:
        raise Unsupported("index_add with a factor")
    buffer, axes = _copied_first(lowering, base), source.loops()
    dim = node.arguments[1] % len(axes)
    at = [Lookup(index.at((axis,))) if d == dim else axis for d, axis in enumerate(axes)]
    target = ix.flatten(at, buffer.stride)
    lowering.program.steps.append(
        Statement(Kind.SCATTER, buffer.name, axes, target, source.at(axes), "sum", (axes[dim],))
    )
    return vs.held(buffer)


def scatter(lowering: Builder, node: Node) -> Value:
    """aten.scatter of a number."""
    base, index = lowering.one(node.arguments[0]), lowering.one(node.arguments[2])
    buffer, axes = _copied_first(lowering, base), index.loops()
    dim = node.arguments[1] % len(axes)
    at = [Lookup(index.at(axes)) if d == dim else axis for d, axis in enumerate(axes)]
    target = ix.flatten(at, buffer.stride)
    body = constant(buffer.dtype, node.arguments[3])
    lowering.program.steps.append(Statement(Kind.SCATTER, buffer.name, axes, target, body, "set", (axes[dim],)))
    return vs.held(buffer)


def embedding_bag(lowering: Builder, node: Node) -> tuple[Value | None, ...]:
    """aten._embedding_bag: bags of one size, which the offsets say as an arange."""
    table, ids, offsets = (lowering.one(a) for a in node.arguments[:3])
    rest = [*node.arguments[3:], *[None] * 4][:4]
    starts = lowering.nodes[node.arguments[2].name]
    mode, factors = rest[1] or 0, rest[3]
    if starts.operator != "prims.iota" or starts.options.get("start", 0) != 0 or mode not in (0, 1):
        raise Unsupported("bags of different sizes, or their maximum")
    bag = sympy.sympify(starts.options.get("step", 1))
    weights = lowering.one(factors) if isinstance(factors, Reference) else None
    dtype = table.dtype

    def at(where: vs.Index) -> Scalar:
        place = sympy.expand(where[0] * bag + where[2])
        one = table.at((Lookup(ids.at((place,))), where[1]))
        return one if weights is None else call(dtype, "mul", one, weights.at((place,)))

    shape = (offsets.shape[0], table.shape[1], bag)
    found = lowering.reduced(Value(shape, dtype, at), [2], "sum", dtype)
    if mode == 1:
        found = vs.mapped("div", dtype, [found, vs.numbers(found.shape, dtype, bag)])
    return (found, None, None, None)


GENERATORS: dict[str, Generator] = {
    "aten.gather": gather,
    "aten.index_select": index_select,
    "aten.embedding": embedding,
    "aten.index.Tensor": indexed,
    "aten.index_add": index_add,
    "aten.scatter.value": scatter,
    "aten._embedding_bag": embedding_bag,
}
"""By operator."""
