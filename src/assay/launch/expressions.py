"""Small arithmetic over a call's sizes, for launch plans: read once, evaluated for each shape, never executed.

An expression is Python's syntax for `+ - * // / %`, comparisons, `and`, `or`, `not`, `a if c else b`, numbers, names,
`.numel`, `.ndim`, `.shape[i]`, `.stride[i]`, and the functions of `FUNCTIONS`. Everything else is refused when the plan
is read, so that a plan can be evaluated in a trusted process.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from assay.core.tensors import MAX_DIMS, TensorSpec
from assay.errors import CandidateError

Number = int | float
Value = Number | TensorSpec

MOST_CHARACTERS = 1000
_MOST_NODES = 400
"""The longest honest expression, a generated grid over pooled sizes, has about 120."""
_LARGEST = 1 << 63
"""Beyond it a number no longer fits any argument, and repeated products would grow without end."""


def _cdiv(a: Number, b: Number) -> Number:
    return -(-a // b)


def _next_power_of_2(a: Number) -> int:
    if isinstance(a, float):
        raise TypeError("next_power_of_2 takes an integer")
    return 1 << max(a - 1, 0).bit_length() if a > 1 else 1


FUNCTIONS: Mapping[str, tuple[Callable[..., Number], int]] = {
    "min": (min, 2), "max": (max, 2), "cdiv": (_cdiv, 2), "next_power_of_2": (_next_power_of_2, 1),
}  # fmt: skip
"""What an expression may call, and with how many numbers; `cdiv` divides and rounds up."""

_BINARY: Mapping[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv,
    ast.Div: operator.truediv, ast.Mod: operator.mod,
}  # fmt: skip
_COMPARE: Mapping[type[ast.cmpop], Callable[[Number, Number], bool]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked expression. `names` are those that its evaluation needs."""

    text: str
    tree: ast.expr
    names: frozenset[str]

    @classmethod
    def parse(cls, text: str | int | float) -> Expression:
        """Raises CandidateError for anything but small arithmetic."""
        written = str(text).strip()
        if len(written) > MOST_CHARACTERS:
            raise _refused(written[:60] + "...", f"at most {MOST_CHARACTERS} characters")
        try:
            tree = ast.parse(written, mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            raise _refused(written, str(error)) from None
        if sum(1 for _ in ast.walk(tree)) > _MOST_NODES:
            raise _refused(written, f"at most {_MOST_NODES} operations and numbers")
        names: set[str] = set()
        _check(tree, written, names)
        return cls(written, tree, frozenset(names))

    def number(self, values: Mapping[str, Value]) -> Number:
        """Its value; raises CandidateError where it has none: a missing dimension, a division by zero, an overflow."""
        try:
            found = _evaluate(self.tree, values)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise _refused(self.text, f"it has no value here: {error}") from None
        if isinstance(found, TensorSpec):
            raise _refused(self.text, "a tensor is no number; ask for its .numel, .shape[i] or .stride[i]")
        return float(found) if isinstance(found, float) else int(found)

    def integer(self, values: Mapping[str, Value]) -> int:
        """Its value as an integer; raises CandidateError where it is none."""
        found = self.number(values)
        if isinstance(found, float):
            raise _refused(self.text, f"an integer is needed and this is {found!r}; divide with // or cdiv")
        return int(found)


def _refused(text: str, rule: str) -> CandidateError:
    return CandidateError("a launch plan has a wrong expression", value=text, rule=rule,
                          next_step="see docs/gpu.md for what an expression may say")  # fmt: skip


def _check(node: ast.expr, text: str, names: set[str]) -> None:
    match node:
        case ast.Constant(value=bool() | int() | float()):
            return
        case ast.Name(id=name):
            names.add(name)
            return
        case ast.Attribute(value=ast.Name(id=name), attr="numel" | "ndim"):
            names.add(name)
            return
        case ast.Subscript(
            value=ast.Attribute(value=ast.Name(id=name), attr="shape" | "stride"), slice=ast.Constant(value=int(index))
        ) if 0 <= index < MAX_DIMS:
            names.add(name)
            return
    parts = _operands(node)
    if parts is None:
        raise _refused(text, f"{ast.unparse(node)!r} is not arithmetic over sizes")
    for part in parts:
        _check(part, text, names)


def _operands(node: ast.expr) -> list[ast.expr] | None:
    """What an operation works on; None where it is none of those that an expression may have."""
    match node:
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return [left, right]
        case ast.UnaryOp(op=ast.USub() | ast.Not(), operand=operand):
            return [operand]
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARE:
            return [left, right]
        case ast.BoolOp(values=values):
            return values
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return [test, body, orelse]
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if len(args) == FUNCTIONS.get(name, (min, -1))[1]:
            return args
    return None


def _evaluate(node: ast.expr, values: Mapping[str, Value]) -> Any:
    match node:
        case ast.Constant(value=bool() | int() | float() as value):
            return _bounded(value)
        case ast.Name(id=name):
            return values[name]
        case ast.Attribute(value=ast.Name(id=name), attr=attr):
            tensor = _tensor(values, name)
            return tensor.numel if attr == "numel" else len(tensor.shape)
        case ast.Subscript(value=ast.Attribute(value=ast.Name(id=name), attr=attr), slice=ast.Constant(value=int(i))):
            tensor = _tensor(values, name)
            return (tensor.shape if attr == "shape" else tensor.strides)[i]
        case ast.BinOp(left=left, op=op, right=right):
            return _bounded(_BINARY[type(op)](_evaluate(left, values), _evaluate(right, values)))
        case ast.UnaryOp(op=op, operand=operand):
            value = _evaluate(operand, values)
            return -value if isinstance(op, ast.USub) else not value
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return _COMPARE[type(op)](_evaluate(left, values), _evaluate(right, values))
        case ast.BoolOp(op=op, values=parts):
            settles = all if isinstance(op, ast.And) else any
            return settles(_evaluate(part, values) for part in parts)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return _evaluate(body if _evaluate(test, values) else orelse, values)
        case ast.Call(func=ast.Name(id=name), args=args):
            return _bounded(FUNCTIONS[name][0](*(_evaluate(argument, values) for argument in args)))
    raise AssertionError(ast.dump(node))  # parse lets nothing else through


def _tensor(values: Mapping[str, Value], name: str) -> TensorSpec:
    found = values[name]
    if not isinstance(found, TensorSpec):
        raise TypeError(f"{name} is a number and has no shape")
    return found


def _bounded(value: Number) -> Number:
    if abs(value) >= _LARGEST or value != value:
        raise OverflowError("a number beyond 64 bits")
    return value
