"""Matrix products as calls of our own routine."""

from __future__ import annotations

import sympy

from assay.core.dtypes import DType
from assay.engineer.codegen import index as ix
from assay.engineer.codegen import values as vs
from assay.engineer.codegen.program import Product, Unsupported
from assay.engineer.codegen.values import Builder, Generator, Value
from assay.engineer.graph import Node


def product(lowering: Builder, node: Node) -> Value:
    """aten.mm and bmm."""
    return _product(lowering, lowering.one(node.arguments[0]), lowering.one(node.arguments[1]), node)


def addmm(lowering: Builder, node: Node) -> Value:
    """aten.addmm: a product and a bias, which is fused."""
    if any(node.options.get(name, 1) != 1 for name in ("alpha", "beta")):
        raise Unsupported("addmm with factors")
    bias, left, right = (lowering.one(a) for a in node.arguments[:3])
    made = _product(lowering, left, right, node)
    kept = list(range(2 - len(bias.shape), 2))
    return vs.mapped("add", node.type.dtype, [made, vs.broadcast(bias, made.shape, kept)])


def _product(lowering: Builder, left: Value, right: Value, node: Node) -> Value:
    dtype = node.type.dtype
    if dtype is not DType.FLOAT32:
        raise Unsupported(f"a matrix product of {dtype.value}")
    (a, a_turned), (b, b_turned) = _operand(lowering, left), _operand(lowering, right)
    batch = left.shape[0] if len(left.shape) == 3 else sympy.Integer(1)
    buffer = lowering.new(node.type.shape, dtype)
    m, k, n = left.shape[-2], left.shape[-1], right.shape[-1]
    lowering.program.steps.append(Product(buffer.name, a, b, batch, m, n, k, a_turned, b_turned))
    return vs.held(buffer)


def _operand(lowering: Builder, value: Value) -> tuple[str, bool]:
    """A buffer that holds the operand or its transpose without gaps."""
    if value.buffer is not None:
        return value.buffer, False
    axes = value.loops()
    body = value.at(axes)
    turned = ix.flatten(
        (*axes[:-2], axes[-1], axes[-2]), ix.contiguous((*value.shape[:-2], value.shape[-1], value.shape[-2]))
    )
    buffer = lowering.program.buffers.get(getattr(body, "buffer", ""))
    whole = buffer is not None and ix.same(ix.product(buffer.shape), ix.product(value.shape))
    if whole and buffer is not None and ix.same(body.offset, turned):  # type: ignore[attr-defined]
        return buffer.name, True
    return lowering.stored(value).buffer or "", False


GENERATORS: dict[str, Generator] = {"aten.mm": product, "aten.bmm": product, "aten.addmm": addmm}
"""By operator."""
