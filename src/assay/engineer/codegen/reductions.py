"""Sums, extrema, variances and scans."""

from __future__ import annotations

import math
from collections.abc import Sequence

from assay.core.dtypes import DType
from assay.engineer.codegen import index as ix
from assay.engineer.codegen import values as vs
from assay.engineer.codegen.program import Unsupported
from assay.engineer.codegen.scalars import Scalar, call, constant, position
from assay.engineer.codegen.values import Builder, Generator, Lowered, Value
from assay.engineer.graph import Node

_REDUCTIONS = {"prims.sum": "sum", "prims.amax": "max", "prims.amin": "min", "prims.prod": "prod"}
_SCANS = {"aten.cumsum": "sum", "aten.cumprod": "prod", "aten.cummax": "max", "aten.cummin": "min"}
_EXTREMES = {"aten.argmax": "max", "aten.argmin": "min", "aten.max.dim": "max", "aten.min.dim": "min"}
_MOST_CHOSEN = 16
"""Each of the best takes two passes over the row."""


def reduced(lowering: Builder, node: Node) -> Value:
    """prims.sum and the like: over dimensions, which go."""
    operation = _REDUCTIONS[node.operator]
    return lowering.reduced(lowering.one(node.arguments[0]), node.arguments[1], operation, node.type.dtype)


def scanned(lowering: Builder, node: Node) -> Lowered:
    """aten.cumsum and the like; of cummax the values alone."""
    value, dtype = lowering.one(node.arguments[0]), (node.types[0] or node.type).dtype
    if not value.shape:
        return value
    found = vs.scanned(lowering, value, node.arguments[1], _SCANS[node.operator], dtype)
    return found if len(node.types) == 1 else (found, None)


def variance(lowering: Builder, node: Node) -> Value:
    """prims.var, in two passes."""
    value, dims = lowering.one(node.arguments[0]), node.arguments[1]
    correction = node.arguments[2] if len(node.arguments) > 2 else node.options.get("correction", 1.0)
    dims = [d % len(value.shape) for d in dims]
    dtype = node.type.dtype
    count = ix.product(value.shape[d] for d in dims)
    sums = lowering.reduced(value, dims, "sum", dtype)
    mean = vs.mapped("div", dtype, [sums, vs.numbers(sums.shape, dtype, count)])
    kept = [d for d in range(len(value.shape)) if d not in dims]
    away = vs.mapped("sub", dtype, [value, vs.broadcast(mean, value.shape, kept)])
    squares = lowering.reduced(vs.mapped("mul", dtype, [away, away]), dims, "sum", dtype)
    # Corrected for the rounding of the mean (Chan, Golub and LeVeque 1983): far from zero it was 2 % of the result.
    left = lowering.reduced(away, dims, "sum", dtype)
    excess = vs.mapped("div", dtype, [vs.mapped("mul", dtype, [left, left]), vs.numbers(left.shape, dtype, count)])
    total = vs.mapped("sub", dtype, [squares, excess])
    return vs.mapped("div", dtype, [total, vs.numbers(squares.shape, dtype, count - int(correction))])


def extreme_place(lowering: Builder, node: Node) -> Value:
    """aten.argmax and argmin along one dimension, or of all elements in order."""
    value, operation = lowering.one(node.arguments[0]), _EXTREMES[node.operator]
    dim = node.arguments[1] if len(node.arguments) > 1 else None
    if dim is None:
        value, dim = vs.reshaped(value, [ix.product(value.shape)]), 0
    best = lowering.reduced(value, [dim], operation, value.dtype)
    return vs.reshaped(_place(lowering, value, dim, best), node.type.shape)


def extreme(lowering: Builder, node: Node) -> Lowered:
    """aten.max and min along a dimension: the values, and their places where somebody wants them."""
    value, dim = lowering.one(node.arguments[0]), node.arguments[1]
    best = lowering.reduced(value, [dim], _EXTREMES[node.operator], value.dtype)
    kinds = [kind for kind in node.types if kind is not None]
    wanted = any(
        other.operator == "getitem" and other.arguments[0].name == node.name and other.arguments[1] == 1
        for other in lowering.nodes.values()
    )
    place = vs.reshaped(_place(lowering, value, dim, best), kinds[1].shape) if wanted else None
    return vs.reshaped(best, kinds[0].shape), place


def _place(lowering: Builder, value: Value, dim: int, best: Value) -> Value:
    """The least place along a dimension that has the extreme value."""
    dim %= len(value.shape)
    size = value.shape[dim]

    def at(index: vs.Index) -> Scalar:
        here = call(DType.BOOL, "eq", value.at(index), best.at((*index[:dim], *index[dim + 1 :])))
        return call(DType.INT64, "where", here, position(DType.INT64, index[dim]), position(DType.INT64, size))

    return lowering.reduced(Value(value.shape, DType.INT64, at), [dim], "min", DType.INT64)


def topk(lowering: Builder, node: Node) -> Lowered:
    """aten.topk: the best, then the best of the others, and so on; values and places."""
    value, count = lowering.one(node.arguments[0]), int(node.arguments[1])
    dim = (node.arguments[2] if len(node.arguments) > 2 else -1) % len(value.shape)
    largest = len(node.arguments) < 4 or bool(node.arguments[3])
    if count > _MOST_CHOSEN or not value.dtype.is_floating:
        raise Unsupported(f"the {count} best in {value.dtype.value}: more than {_MOST_CHOSEN} would be sorted")
    operation, worst = ("max", -math.inf) if largest else ("min", math.inf)
    best: list[Value] = []
    places: list[Value] = []
    for _ in range(count):
        left = _without(value, dim, places, worst)
        best.append(lowering.reduced(left, [dim], operation, value.dtype))
        places.append(_place(lowering, left, dim, best[-1]))
    return vs.stacked(lowering, best, dim), vs.stacked(lowering, places, dim)


def _without(value: Value, dim: int, places: Sequence[Value], instead: float) -> Value:
    """A value with a number in the places that were chosen before."""
    chosen = tuple(places)

    def at(index: vs.Index) -> Scalar:
        found, row = value.at(index), (*index[:dim], *index[dim + 1 :])
        for place in chosen:
            here = call(DType.BOOL, "eq", position(DType.INT64, index[dim]), place.at(row))
            found = call(value.dtype, "where", here, constant(value.dtype, instead), found)
        return found

    return Value(value.shape, value.dtype, at)


GENERATORS: dict[str, Generator] = {
    **dict.fromkeys(_REDUCTIONS, reduced),
    **dict.fromkeys(_SCANS, scanned),
    "prims.var": variance,
    "aten.argmax": extreme_place,
    "aten.argmin": extreme_place,
    "aten.max.dim": extreme,
    "aten.min.dim": extreme,
    "aten.topk": topk,
}
"""By operator."""
