"""Matrix products as calls of our own routine."""

from __future__ import annotations

import sympy

from assay.core.dtypes import DType
from assay.engineer.codegen import values as vs
from assay.engineer.codegen.program import Product, Unsupported
from assay.engineer.codegen.scalars import Scalar, call
from assay.engineer.codegen.values import Builder, Generator, Value
from assay.engineer.graph import Node


def product(lowering: Builder, node: Node) -> Value:
    """aten.mm and bmm."""
    return _product(lowering, lowering.one(node.arguments[0]), lowering.one(node.arguments[1]), node)


def addmm(lowering: Builder, node: Node) -> Value:
    """aten.addmm: a product and a bias, which is fused, each with a factor."""
    bias, left, right = (lowering.one(a) for a in node.arguments[:3])
    made = _product(lowering, left, right, node)
    kept = list(range(2 - len(bias.shape), 2))
    terms = (made, node.options.get("alpha", 1)), (vs.broadcast(bias, made.shape, kept), node.options.get("beta", 1))
    return vs.mapped("add", node.type.dtype, [_scaled(value, factor) for value, factor in terms])


def _scaled(value: Value, factor: float) -> Value:
    number = vs.filled(value.shape, value.dtype, factor)
    return value if factor == 1 else vs.mapped("mul", value.dtype, [value, number])


def _product(lowering: Builder, left: Value, right: Value, node: Node) -> Value:
    dtype = node.type.dtype
    if dtype is not DType.FLOAT32:
        raise Unsupported(f"a matrix product of {dtype.value}")
    m, k, n = left.shape[-2], left.shape[-1], right.shape[-1]
    if m == 1 or n == 1:
        return _of_vector(lowering, left, right, node)
    (a, a_turned), (b, b_turned) = _operand(lowering, left), _operand(lowering, right)
    batch = left.shape[0] if len(left.shape) == 3 else sympy.Integer(1)
    buffer = lowering.new(node.type.shape, dtype)
    lowering.program.steps.append(Product(buffer.name, a, b, batch, m, n, k, a_turned, b_turned))
    return vs.held(buffer)


def _of_vector(lowering: Builder, left: Value, right: Value, node: Node) -> Value:
    """A matrix by a vector, or the other way around, is a sum: each element of the matrix is read once.

    The routine would copy it into blocks first, for four times as long.
    """
    shape = (*left.shape, right.shape[-1])
    last = len(shape) - 1

    def at(index: vs.Index) -> Scalar:
        *batch, row, term, column = index
        return call(left.dtype, "mul", left.at((*batch, row, term)), right.at((*batch, term, column)))

    return lowering.reduced(Value(shape, left.dtype, at), [last - 1], "sum", node.type.dtype)


def _operand(lowering: Builder, value: Value) -> tuple[str, bool]:
    """A buffer that holds the operand or its transpose without gaps."""
    last = len(value.shape) - 1
    turned = vs.in_memory(lowering.program, value, (*range(last - 1), last, last - 1))
    plain = vs.in_memory(lowering.program, value, tuple(range(last + 1)))
    if turned is not None and plain is None:
        return turned.name, True
    return lowering.stored(value).buffer or "", False


GENERATORS: dict[str, Generator] = {"aten.mm": product, "aten.bmm": product, "aten.addmm": addmm}
"""By operator."""
