"""C++ for one element: how each function, number and type is written."""

from __future__ import annotations

import math

from assay.core.dtypes import DType
from assay.engineer.codegen.scalars import Call, Constant

TYPES = {
    DType.FLOAT32: "float", DType.FLOAT64: "double", DType.INT64: "int64_t", DType.INT32: "int32_t",
    DType.INT16: "int16_t", DType.INT8: "int8_t", DType.UINT8: "uint8_t", DType.BOOL: "bool",
}  # fmt: skip
"""Half-precision types have no arithmetic in portable C++ and are refused."""

MEMORY = TYPES | {DType.BOOL: "uint8_t"}
"""As they lie in memory. g++ 12 makes vectors of a load of bool, but eight times slower ones than of a byte."""
LOADED = TYPES | {DType.BOOL: "int32_t"}
"""As they are used once loaded: as wide as most of what they meet."""

_INFIX = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">",
    "ge": ">=", "bitwise_and": "&", "bitwise_or": "|", "bitwise_xor": "^",
}  # fmt: skip
_LIBRARY = {
    "abs": "std::abs", "sqrt": "std::sqrt", "sin": "std::sin", "cos": "std::cos", "tan": "std::tan",
    "sinh": "std::sinh", "cosh": "std::cosh", "asin": "std::asin", "acos": "std::acos", "atan": "std::atan",
    "erf": "erf_", "erfc": "std::erfc", "floor": "std::floor", "ceil": "std::ceil", "trunc": "std::trunc",
    "round": "std::nearbyint", "exp2": "std::exp2", "log2": "std::log2", "log10": "std::log10", "pow": "std::pow",
    "fmod": "std::fmod", "atan2": "std::atan2", "isfinite": "std::isfinite", "exp": "exp_", "expm1": "expm1_",
    "log": "log_", "log1p": "log1p_", "tanh": "tanh_", "sign": "sign_", "maximum": "max_", "minimum": "min_",
    "remainder": "remainder_", "signbit": "std::signbit", "hypot": "std::hypot", "lgamma": "std::lgamma",
}  # fmt: skip

COMBINE = {"sum": "{a} + {b}", "prod": "{a} * {b}", "max": "{b} > {a} ? {b} : {a}", "min": "{b} < {a} ? {b} : {a}"}
"""One step of a reduction: `a` is what there is, `b` what comes."""
CLAUSE = {"sum": "+", "prod": "*", "max": "max", "min": "min"}
"""OpenMP's names of the reductions."""


def start(operation: str, dtype: DType) -> str:
    """Where a reduction begins."""
    if operation in ("sum", "prod"):
        return number(dtype, 0 if operation == "sum" else 1)
    if dtype.is_floating:
        return "-INFINITY" if operation == "max" else "INFINITY"
    return f"std::numeric_limits<{TYPES[dtype]}>::{'lowest' if operation == 'max' else 'max'}()"


def number(dtype: DType, value: float | int | bool) -> str:
    """A literal."""
    if dtype is DType.BOOL:
        return "true" if value else "false"
    if not dtype.is_floating:
        return f"{TYPES[dtype]}({int(value)})"
    if not math.isfinite(value):
        name = "NAN" if math.isnan(value) else "INFINITY"
        return f"{TYPES[dtype]}({'-' if value < 0 else ''}{name})"
    text = repr(float(value))
    return f"{text}f" if dtype is DType.FLOAT32 else text


def called(one: Call, arguments: list[str]) -> str:
    """A function of values that have names already."""
    name, dtype = one.function, TYPES[one.dtype]
    if name == "convert":
        return f"({arguments[0]} != 0)" if one.dtype is DType.BOOL else f"static_cast<{dtype}>({arguments[0]})"
    if name in _INFIX:
        return f"({arguments[0]} {_INFIX[name]} {arguments[1]})"
    if name == "where":
        return f"({arguments[0]} ? {arguments[1]} : {arguments[2]})"
    if name == "neg":
        return f"(-{arguments[0]})"
    if name == "bitwise_not":
        return f"(!{arguments[0]})" if one.dtype is DType.BOOL else f"(~{arguments[0]})"
    if name == "rsqrt":
        return f"({number(one.dtype, 1)} / std::sqrt({arguments[0]}))"
    if name == "reciprocal":
        return f"({number(one.dtype, 1)} / {arguments[0]})"
    if name == "pow" and isinstance(one.arguments[1], Constant) and one.arguments[1].value in (2, 3):
        return "(" + " * ".join([arguments[0]] * int(one.arguments[1].value)) + ")"
    if name == "pow" and isinstance(one.arguments[1], Constant) and one.arguments[1].value == 0.5:
        return f"std::sqrt({arguments[0]})"
    return f"{_LIBRARY[name]}({', '.join(arguments)})"
