"""Element-by-element operators, and tensors that are made of numbers."""

from __future__ import annotations

import sympy

from assay.core.dtypes import DType
from assay.engineer.codegen import values as vs
from assay.engineer.codegen.program import Unsupported
from assay.engineer.codegen.scalars import position
from assay.engineer.codegen.values import Builder, Generator, Value
from assay.engineer.graph import Node, Reference

_MAPS = {
    "add", "sub", "mul", "div", "neg", "abs", "sqrt", "rsqrt", "reciprocal", "exp", "exp2", "expm1", "log", "log1p",
    "log2", "log10", "sin", "cos", "tan", "tanh", "sinh", "cosh", "asin", "acos", "atan", "erf", "erfc", "floor",
    "ceil", "trunc", "round", "sign", "maximum", "minimum", "pow", "eq", "ne", "lt", "le", "gt", "ge", "where",
    "bitwise_and", "bitwise_or", "bitwise_not", "bitwise_xor", "remainder", "fmod", "atan2", "isfinite", "signbit",
    "hypot", "lgamma",
}  # fmt: skip
"""prims.NAME is the prelude's function NAME."""
_HEAVY = {
    "exp", "exp2", "expm1", "log", "log1p", "log2", "log10", "sin", "cos", "tan", "tanh", "sinh", "cosh", "asin",
    "acos", "atan", "erf", "erfc", "pow", "atan2", "hypot", "lgamma",
}  # fmt: skip
"""Costs ten to thirty instructions an element."""
_NUMBERS = ("aten.full_like", "aten.scalar_tensor", "prims.scalar_tensor", "aten.full", "prims.full", "constant")
_UNDEFINED = ("prims.empty_strided", "aten.empty.memory_format", "aten.empty_like", "aten.empty_permuted")


def mapped(lowering: Builder, node: Node) -> Value:
    """prims.NAME on the elements at the same place."""
    name = node.operator.removeprefix("prims.")
    heavy = name in _HEAVY and not (name == "pow" and not isinstance(node.arguments[1], Reference))
    return vs.mapped(name, node.type.dtype, _operands(lowering, node), heavy=heavy)


def _operands(lowering: Builder, node: Node) -> list[Value]:
    """Tensors as they are, numbers as tensors of the type that the other operand has."""
    tensors = [lowering.one(a) for a in node.arguments if isinstance(a, Reference)]
    shape = node.type.shape
    others = [t.dtype for t in tensors if t.dtype is not DType.BOOL or len(tensors) == 1]
    number = others[-1] if others else node.type.dtype
    if node.operator == "prims.where":
        number = node.type.dtype
    found = []
    for argument in node.arguments:
        if isinstance(argument, Reference):
            value = lowering.one(argument)
            found.append(value if value.shape or not shape else vs.broadcast(value, shape, ()))
        elif isinstance(argument, sympy.Expr):
            found.append(vs.numbers(shape, number, argument))
        else:
            found.append(vs.filled(shape, number, argument))
    return found


def converted(lowering: Builder, node: Node) -> Value:
    """prims.convert_element_type."""
    return vs.mapped("convert", node.type.dtype, [lowering.one(node.arguments[0])])


def iota(_: Builder, node: Node) -> Value:
    """prims.iota: numbers that lie a step apart."""
    start, step = node.options.get("start", 0), node.options.get("step", 1)
    dtype = node.type.dtype
    return Value(node.type.shape, dtype, lambda at: position(dtype, sympy.expand(start + step * at[0])))


def filled(_: Builder, node: Node) -> Value:
    """The same number everywhere."""
    value = node.arguments[-1]
    if isinstance(value, Reference) or not isinstance(value, (bool, int, float)):
        raise Unsupported(f"{node.operator} of something that is not a number")
    return vs.filled(node.type.shape, node.type.dtype, value)


def undefined(_: Builder, node: Node) -> Value:
    """Memory that something else is going to fill."""
    return vs.filled(node.type.shape, node.type.dtype, 0)


GENERATORS: dict[str, Generator] = {
    **dict.fromkeys((f"prims.{name}" for name in _MAPS), mapped),
    "prims.convert_element_type": converted,
    "prims.iota": iota,
    **dict.fromkeys(_NUMBERS, filled),
    **dict.fromkeys(_UNDEFINED, undefined),
}
"""By operator."""
