"""Operators whose places are data: elements that are looked up, and elements that are put where data says."""

from __future__ import annotations

import sympy

from assay.core.dtypes import DType
from assay.engineer.codegen import index as ix
from assay.engineer.codegen import values as vs
from assay.engineer.codegen.index import Lookup, Loop, Size
from assay.engineer.codegen.program import Buffer, Kind, Statement, Unsupported
from assay.engineer.codegen.scalars import Call, Constant, Position, Scalar, call, constant, position
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
    """aten.index by tensors of places: theirs come where the first stands, in front if they are no neighbours."""
    value, given = lowering.one(node.arguments[0]), node.arguments[1]
    indices = {d: lowering.one(one) for d, one in enumerate(given) if isinstance(one, Reference)}
    if any(index.dtype is DType.BOOL for index in indices.values()):
        raise Unsupported("indexing by a mask")
    rank = max(len(index.shape) for index in indices.values())
    together = max(indices) - min(indices) + 1 == len(indices)
    start = min(indices) if together else 0

    def at(where: vs.Index) -> Scalar:
        chosen, rest = where[start : start + rank], iter((*where[:start], *where[start + rank :]))
        return value.at(
            tuple(
                _place(_broadcast_at(indices[d], chosen), size) if d in indices else next(rest)
                for d, size in enumerate(value.shape)
            )
        )

    return Value(node.type.shape, value.dtype, at, heavy=value.heavy)


def _broadcast_at(value: Value, where: vs.Index) -> Scalar:
    """An element of what is repeated over a larger shape."""
    last = where[len(where) - len(value.shape) :]
    return value.at(tuple(sympy.Integer(0) if n == 1 else i for n, i in zip(value.shape, last, strict=True)))


def _place(raw: Scalar, size: Size) -> Size:
    """A place along a dimension: symbolic where it is no data, and from the end where it is negative."""
    known = _symbolic(raw)
    if known is not None and ix.non_negative(known):
        return known
    turned = call(raw.dtype, "add", raw, position(raw.dtype, size))
    negative = call(DType.BOOL, "lt", raw, constant(raw.dtype, 0))
    return Lookup(call(raw.dtype, "where", negative, turned, raw))


def _symbolic(scalar: Scalar) -> Size | None:
    """What sums and products of places and numbers are as one place."""
    if isinstance(scalar, Position):
        return scalar.value
    if isinstance(scalar, Constant) and isinstance(scalar.value, int):
        return sympy.Integer(scalar.value)
    if not isinstance(scalar, Call) or scalar.function not in ("add", "sub", "mul"):
        return None
    a, b = (_symbolic(one) for one in scalar.arguments)
    if a is None or b is None:
        return None
    return sympy.expand(a * b if scalar.function == "mul" else a + b if scalar.function == "add" else a - b)


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


def scattered(lowering: Builder, node: Node) -> Value:
    """aten.scatter and scatter_add, of a number or of a tensor."""
    base, index, given = lowering.one(node.arguments[0]), lowering.one(node.arguments[2]), node.arguments[3]
    if node.options.get("reduce") is not None:
        raise Unsupported("scatter with a reduction")
    buffer, axes = _copied_first(lowering, base), index.loops()
    dim = node.arguments[1] % len(axes)
    at = [Lookup(index.at(axes)) if d == dim else axis for d, axis in enumerate(axes)]
    target = ix.flatten(at, buffer.stride)
    body = lowering.one(given).at(axes) if isinstance(given, Reference) else constant(buffer.dtype, given)
    operation = "sum" if node.operator == "aten.scatter_add" else "set"
    lowering.program.steps.append(Statement(Kind.SCATTER, buffer.name, axes, target, body, operation, (axes[dim],)))
    return vs.held(buffer)


def owners(lowering: Builder, node: Node) -> Value:
    """aten.repeat_interleave of counts: for each place the part that it lies in, as many parts as end before it.

    Only where the sizes of the task say how long the result is. Places beyond are never written, whatever the counts.
    """
    counts, dtype = lowering.one(node.arguments[0]), node.type.dtype
    (total,) = node.type.shape
    ends = vs.scanned(lowering, counts, 0, "sum", dtype)
    marks = lowering.new([total + 1], dtype)
    (place,), (part,) = (Loop("i", total + 1),), counts.loops()
    zero, one = constant(dtype, 0), constant(dtype, 1)
    lowering.program.steps.append(Statement(Kind.MAP, marks.name, (place,), place, zero))
    end = call(dtype, "maximum", zero, call(dtype, "minimum", ends.at((part,)), position(dtype, total)))
    lowering.program.steps.append(Statement(Kind.SCATTER, marks.name, (part,), Lookup(end), one, "sum", (part,)))
    kept = vs.held(marks)
    return vs.scanned(lowering, Value((total,), dtype, kept.at), 0, "sum", dtype)


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
    "aten.scatter.value": scattered,
    "aten.scatter.src": scattered,
    "aten.scatter_add": scattered,
    "aten.repeat_interleave.Tensor": owners,
    "aten._embedding_bag": embedding_bag,
}
"""By operator."""
