"""How types, numbers, sizes and functions are written in Triton.

Half-precision values are computed in float32 and rounded when they are stored. Functions are chosen for accuracy:
division and square root round correctly (Triton's `/` and `tl.sqrt` may be 2 units off in float32), `tl.log`, `tl.sin`,
`tl.cos` and `tl.erf` are CUDA's libdevice (CUDA C++ Programming Guide, Mathematical Functions: within 1 to 2 units).
`tl.exp` multiplies by log2(e) and takes `ex2.approx`: 2 units and |x| / 2 more, which a softmax's weights never show.
"""

from __future__ import annotations

import math
import re

import sympy

from assay.core.dtypes import DType
from assay.engineer.codegen.index import FloorDiv, Modulo, Size
from assay.engineer.codegen.program import Unsupported
from assay.engineer.codegen.scalars import Call, Constant

TYPES = {
    DType.FLOAT32: "tl.float32", DType.FLOAT64: "tl.float64", DType.FLOAT16: "tl.float32", DType.BFLOAT16: "tl.float32",
    DType.INT64: "tl.int64", DType.INT32: "tl.int32", DType.INT16: "tl.int16", DType.INT8: "tl.int8",
    DType.UINT8: "tl.uint8", DType.BOOL: "tl.int1",
}  # fmt: skip
"""What values are computed in."""
MEMORY = TYPES | {DType.FLOAT16: "tl.float16", DType.BFLOAT16: "tl.bfloat16", DType.BOOL: "tl.int8"}
"""As they lie in memory."""
HALVES = (DType.FLOAT16, DType.BFLOAT16)

_INFIX = {
    "add": "+", "sub": "-", "mul": "*", "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
    "bitwise_and": "&", "bitwise_or": "|", "bitwise_xor": "^",
}  # fmt: skip
_LIBRARY = {
    "abs": "tl.abs", "exp": "tl.exp", "exp2": "tl.exp2", "log": "tl.log", "log2": "tl.log2", "sin": "tl.sin",
    "cos": "tl.cos", "erf": "tl.erf", "floor": "tl.floor", "ceil": "tl.ceil",
}  # fmt: skip
_OWN = {"tanh": "tanh_", "expm1": "expm1_", "log1p": "log1p_", "sign": "sign_", "trunc": "trunc_"}
"""Written out below, since Triton's interpreter has no libdevice; in float32 only."""

HELPERS = {
    "larger": '''@triton.jit
def larger(a, b):
    """The larger one, or NaN where there is one, as PyTorch has it."""
    return tl.maximum(a, b, propagate_nan=tl.PropagateNan.ALL)
''',
    "smaller": '''@triton.jit
def smaller(a, b):
    """The smaller one, or NaN where there is one."""
    return tl.minimum(a, b, propagate_nan=tl.PropagateNan.ALL)
''',
    "times": '''@triton.jit
def times(a, b):
    """Their product."""
    return a * b
''',
    "expm1_": '''@triton.jit
def expm1_(x):
    """Taylor's series to the 9th power below 0.5, where its rest is 5e-9, and the difference beyond: 4 units."""
    s = 1 / 40320.0 + x * (1 / 362880.0)
    s = 1 / 720.0 + x * (1 / 5040.0 + x * s)
    s = 1 / 24.0 + x * (1 / 120.0 + x * s)
    s = x + x * x * (0.5 + x * (1 / 6.0 + x * s))
    return tl.where(tl.abs(x) < 0.5, s, tl.exp(x) - 1)
''',
    "tanh_": '''@triton.jit
def tanh_(x):
    """By expm1, which neither cancels at zero nor overflows: 20 is beyond where a float becomes 1."""
    e = expm1_(2 * tl.minimum(tl.abs(x), 20.0, propagate_nan=tl.PropagateNan.ALL))
    t = tl.div_rn(e, e + 2)
    return tl.where(x < 0, -t, t)
''',
    "log1p_": '''@triton.jit
def log1p_(x):
    """Corrected for the rounding of 1 + x (Goldberg 1991, theorem 4)."""
    u = 1 + x
    near = tl.log(u) * tl.div_rn(x, tl.where(u == 1, 1.0, u - 1))
    return tl.where(u == 1, x, tl.where(tl.abs(x) < 1, near, tl.log(u)))
''',
    "sign_": '''@triton.jit
def sign_(x):
    """-1, 0 or 1, and NaN of NaN."""
    return tl.where(x > 0, 1.0, tl.where(x < 0, -1.0, x * 0))
''',
    "trunc_": '''@triton.jit
def trunc_(x):
    """Towards zero."""
    return tl.where(x < 0, tl.ceil(x), tl.floor(x))
''',
}  # fmt: skip
"""Functions that a file brings along where it calls them, those that they call first."""

COMBINE = {"sum": "{a} + {b}", "prod": "{a} * {b}", "max": "larger({a}, {b})", "min": "smaller({a}, {b})"}
"""One step of a reduction."""
REDUCE = {
    "sum": "tl.sum({v}, 1, keep_dims=True)",
    "prod": "tl.reduce({v}, 1, times, keep_dims=True)",
    "max": "tl.reduce({v}, 1, larger, keep_dims=True)",
    "min": "tl.reduce({v}, 1, smaller, keep_dims=True)",
}
SCAN = {
    "sum": "tl.cumsum({v}, 1)", "prod": "tl.cumprod({v}, 1)", "max": "tl.associative_scan({v}, 1, larger)",
    "min": "tl.associative_scan({v}, 1, smaller)",
}  # fmt: skip


def helpers(text: str) -> str:
    """The helpers that a text calls, and those that they call."""
    found: dict[str, str] = {}
    for name, source in reversed(HELPERS.items()):
        if re.search(rf"\b{name}\b", text + "".join(found.values())):
            found[name] = source
    return "\n\n".join(found[name] for name in HELPERS if name in found)


def start(operation: str, dtype: DType) -> str:
    """Where a reduction begins, and what elements beyond the edge count as."""
    if operation in ("sum", "prod"):
        return "0" if operation == "sum" else "1"
    if dtype.is_floating:
        return f'float("{"-" if operation == "max" else ""}inf")'
    bits = 8 * dtype.size_bytes
    if dtype in (DType.BOOL, DType.UINT8):
        return "0" if operation == "max" else "255" if dtype is DType.UINT8 else "1"
    return str(-(1 << bits - 1) if operation == "max" else (1 << bits - 1) - 1)


def number(dtype: DType, value: float | int | bool) -> str:
    """A number as a value that has a type."""
    if dtype is DType.BOOL:
        return f"tl.full((1, 1), {int(bool(value))}, tl.int1)"
    if not dtype.is_floating:
        return f"tl.full((1, 1), {int(value)}, {TYPES[dtype]})"
    text = repr(float(value)) if math.isfinite(value) else f'float("{value}")'
    return f"tl.full((1, 1), {text}, {TYPES[dtype]})"


def size(expression: Size, prefix: str = "tl.") -> str:
    """A size or place as an expression: in Triton, or with an empty prefix and "max" and "min" in a launch plan."""
    if expression.is_Integer:
        return str(int(expression))
    if expression.is_Symbol:
        return str(expression.name)
    parts = [size(each, prefix) for each in expression.args]
    if isinstance(expression, (FloorDiv, Modulo)):
        return f"({parts[0]} {'//' if isinstance(expression, FloorDiv) else '%'} {parts[1]})"
    if isinstance(expression, (sympy.Max, sympy.Min)):
        larger = isinstance(expression, sympy.Max)
        name = {"": "max" if larger else "min"}.get(prefix, f"{prefix}{'maximum' if larger else 'minimum'}")
        text = parts[0]
        for other in parts[1:]:
            text = f"{name}({text}, {other})"
        return text
    if expression.is_Float or expression.is_Rational:
        return repr(float(expression))
    if expression.is_Pow and expression.args[1] == -1:
        return f"(1.0 / {parts[0]})"
    if expression.is_Pow and expression.args[1].is_Integer and expression.args[1] > 0:
        return "(" + " * ".join([parts[0]] * int(expression.args[1])) + ")"
    if expression.is_Add or expression.is_Mul:
        return "(" + (" + " if expression.is_Add else " * ").join(parts) + ")"
    raise Unsupported(f"no Triton for the size {expression}")


def called(one: Call, arguments: list[str]) -> str:
    """A function of values that have names. Raises Unsupported for functions that Triton has no accurate form of."""
    name, a = one.function, arguments[0]
    single = one.dtype in (DType.FLOAT32, *HALVES)
    if name == "convert":
        return f"({a} != 0)" if one.dtype is DType.BOOL else f"{a}.to({TYPES[one.dtype]})"
    if name in _INFIX:
        return f"({a} {_INFIX[name]} {arguments[1]})"
    if name in _LIBRARY:
        return f"{_LIBRARY[name]}({a})"
    if name in _OWN and single:
        return f"{_OWN[name]}({a})"
    if name in ("where", "guarded"):
        return f"tl.where({', '.join(arguments)})"
    if name in ("maximum", "minimum"):
        return f"tl.{name}({a}, {arguments[1]}, propagate_nan=tl.PropagateNan.ALL)"
    if name == "neg":
        return f"(-{a})"
    if name == "bitwise_not":
        return f"({a} == 0)" if one.dtype is DType.BOOL else f"(~{a})"
    if name == "isfinite":
        return f'(tl.abs({a}) < float("inf"))'
    if one.dtype.is_floating and (found := _quotient(one, arguments)):
        return found
    raise Unsupported(f"no Triton for {name} in {one.dtype.value}")


def _quotient(one: Call, arguments: list[str]) -> str:
    """Divisions, roots and powers, which round correctly in float64 as they are."""
    name, a, single = one.function, arguments[0], one.dtype is not DType.FLOAT64
    divide, root = ("tl.div_rn({}, {})", "tl.sqrt_rn({})") if single else ("({} / {})", "tl.sqrt({})")
    if name == "div":
        return divide.format(a, arguments[1])
    unit = number(one.dtype, 1)
    power = one.arguments[1].value if name == "pow" and isinstance(one.arguments[1], Constant) else None
    if name == "reciprocal" or power == -1:
        return divide.format(unit, a)
    if name == "sqrt" or power == 0.5:
        return root.format(a)
    if name == "rsqrt" or power == -0.5:
        return divide.format(unit, root.format(a))
    if power in (2, 3, 4):
        return "(" + " * ".join([a] * int(power)) + ")"
    return ""
