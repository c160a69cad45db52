"""Sizes and positions as symbolic integers: loop variables that know their size, and division that knows it too.

Everything is a non-negative integer. A reshape becomes divisions and remainders, and nearly all of them vanish here;
those that remain are computed at run time for every element.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Any, TypeAlias

import sympy

_UNKNOWN = 10**6

Size: TypeAlias = Any
"""A sympy expression; sympy ships no types."""


class _Names:
    """Numbers for variables, from zero for every program: a graph gives the same text whenever it is written."""

    numbers = count()
    program = 0
    lookups: dict[tuple[int, int], Lookup] = {}
    divisions: dict[Any, tuple[str, str]] = {}


def start_names() -> None:
    """Variables made from here on belong to another program."""
    _Names.numbers = count()
    _Names.program += 1


def start_divisions() -> None:
    """Forget the divisions of sizes that were written so far."""
    _Names.divisions = {}


def written_divisions() -> list[tuple[str, str]]:
    """Every division of sizes alone that `cpp` has named since: name and C++, in an order that can be run."""
    return list(_Names.divisions.values())


class Loop(sympy.Symbol):  # type: ignore[misc]  # sympy ships no types
    """A loop variable from 0 to below `size`. Two of one name and size are the same, for sympy keeps old results."""

    __slots__ = ("size",)
    size: Size

    def __new__(cls, prefix: str, size: Size | int) -> Loop:
        """A new variable, named after `prefix`."""
        made: Loop = sympy.Symbol.__xnew__(cls, f"{prefix}{next(_Names.numbers)}", integer=True, nonnegative=True)
        made.size = sympy.sympify(size)
        return made

    def _hashable_content(self) -> tuple[Any, ...]:
        return (*super()._hashable_content(), self.size)


class Lookup(sympy.Symbol):  # type: ignore[misc]  # sympy ships no types
    """A position that is data: an element of an index tensor. Equal data of one program has one symbol."""

    __slots__ = ("program", "scalar")
    scalar: Any
    program: int

    def __new__(cls, scalar: Any) -> Lookup:
        """`scalar` is a `scalars.Scalar` of an integer type."""
        key = (_Names.program, id(scalar))
        found = _Names.lookups.get(key)
        if found is None:
            found = sympy.Symbol.__xnew__(cls, f"at{next(_Names.numbers)}", integer=True, nonnegative=True)
            found.scalar, found.program = scalar, _Names.program
            _Names.lookups[key] = found
        return found

    def _hashable_content(self) -> tuple[Any, ...]:
        return (*super()._hashable_content(), self.program, id(self.scalar))


class FloorDiv(sympy.Function):  # type: ignore[misc]  # sympy ships no types
    """Integer division of non-negative integers that could not be simplified."""

    nargs = 2
    is_integer = True
    is_nonnegative = True


class Modulo(sympy.Function):  # type: ignore[misc]  # sympy ships no types
    """Remainder of non-negative integers that could not be simplified."""

    nargs = 2
    is_integer = True
    is_nonnegative = True


def floor_div(a: Size, b: Size) -> Size:
    """a // b for a >= 0 and b > 0, simplified by what is known of loop variables."""
    if b == 1 or a == 0:
        return a
    if a.is_Integer and b.is_Integer:
        return sympy.Integer(int(a) // int(b))
    whole, rest = _split(a, b)
    if below(rest, b):
        return whole
    if whole != 0:
        return whole + floor_div(rest, b)
    if isinstance(a, FloorDiv):
        return floor_div(a.args[0], a.args[1] * b)
    return FloorDiv(a, b)


def modulo(a: Size, b: Size) -> Size:
    """a % b for a >= 0 and b > 0, simplified likewise."""
    if b == 1 or a == 0:
        return sympy.Integer(0)
    if a.is_Integer and b.is_Integer:
        return sympy.Integer(int(a) % int(b))
    _, rest = _split(a, b)
    return rest if below(rest, b) else Modulo(rest, b)


def _split(a: Size, b: Size) -> tuple[Size, Size]:
    """a = b * whole + rest, with every term of a that b divides in `whole`."""
    whole, rest = sympy.Integer(0), sympy.Integer(0)
    for term in sympy.Add.make_args(sympy.expand(a)):
        quotient, denominator = sympy.fraction(sympy.cancel(term / b))
        if denominator == 1:
            whole += quotient
        else:
            rest += term
    return whole, rest


def below(a: Size, b: Size) -> bool:
    """Whether a < b is certain."""
    highest = a.xreplace({v: v.size - 1 for v in a.atoms(Loop)})
    return non_negative(b - 1 - highest) and not a.atoms(FloorDiv, Modulo)


def non_negative(a: Size) -> bool:
    """Whether a >= 0 is certain, where every size is at least 1."""
    sizes = {symbol for symbol in a.free_symbols if not isinstance(symbol, (Loop, Lookup))}
    shifted = sympy.expand(a.xreplace({size: size + 1 for size in sizes}))
    return all(term.as_coeff_Mul()[0] >= 0 for term in sympy.Add.make_args(shifted))


def same(a: Size, b: Size) -> bool:
    """Whether two sizes are equal for every value of their symbols."""
    return bool(a == b) or sympy.expand(a - b) == 0


def hinted(size: Size, hints: Mapping[str, int]) -> int:
    """A size at the task's own axes, by the names of its symbols; one million where that is not known."""
    value = replaced(size, {s: sympy.Integer(hints.get(s.name, _UNKNOWN)) for s in size.free_symbols})
    return int(value) if value.is_Integer else _UNKNOWN


def product(sizes: Iterable[Size]) -> Size:
    """Of all sizes."""
    result = sympy.Integer(1)
    for size in sizes:
        result *= size
    return result


def contiguous(shape: Sequence[Size]) -> tuple[Size, ...]:
    """The strides of a tensor without gaps, last dimension fastest."""
    return tuple(product(shape[d + 1 :]) for d in range(len(shape)))


def is_contiguous(shape: Sequence[Size], stride: Sequence[Size]) -> bool:
    """Whether a tensor has no gaps and its last dimension is fastest; a dimension of size one has no say."""
    return all(same(a, b) for a, b, n in zip(stride, contiguous(shape), shape, strict=True) if n != 1)


def flatten(index: Sequence[Size], strides: Sequence[Size]) -> Size:
    """The offset of an index."""
    return recombined(sympy.expand(sum((i * s for i, s in zip(index, strides, strict=True)), sympy.Integer(0))))


def recombined(where: Size) -> Size:
    """With b * (a // b) + a % b as a again."""
    for rest in where.atoms(Modulo):
        a, b = rest.args
        factor = where.coeff(rest)
        if factor != 0 and same(where.coeff(FloorDiv(a, b)), sympy.expand(factor * b)):
            where = sympy.expand(where - factor * rest - factor * b * FloorDiv(a, b) + factor * a)
    return where


def unflatten(offset: Size, shape: Sequence[Size]) -> tuple[Size, ...]:
    """The index at which a tensor without gaps has this offset."""
    index: list[Size] = []
    for stride in contiguous(shape):
        index.append(floor_div(offset, stride))
        offset = modulo(offset, stride)
    return tuple(index)


def replaced(expression: Size, mapping: dict[Size, Size]) -> Size:
    """With variables replaced, and simplified again."""
    if not mapping or not expression.has(*mapping):
        return expression
    if expression.is_Symbol:
        return mapping.get(expression, expression)
    arguments = [replaced(a, mapping) for a in expression.args]
    if isinstance(expression, FloorDiv):
        return floor_div(*arguments)
    if isinstance(expression, Modulo):
        return modulo(*arguments)
    return recombined(sympy.expand(expression.func(*arguments)))


def _division(expression: Size) -> str:
    """One of sizes alone gets a name: inside a loop the compiler would not dare to take it out."""
    operator = "/" if isinstance(expression, FloorDiv) else "%"
    if expression.atoms(Loop, Lookup):
        return f"({cpp(expression.args[0])} {operator} {cpp(expression.args[1])})"
    if expression not in _Names.divisions:
        text = f"{cpp(expression.args[0])} {operator} {cpp(expression.args[1])}"
        _Names.divisions[expression] = (f"q{len(_Names.divisions)}", text)
    return _Names.divisions[expression][0]


def cpp(expression: Size) -> str:
    """As a C++ expression of int64_t, or of double where a share of a size is meant."""
    if expression.is_Integer:
        return str(int(expression))
    if expression.is_Symbol:
        return str(expression.name)
    if isinstance(expression, (FloorDiv, Modulo)):
        return _division(expression)
    if isinstance(expression, (sympy.Max, sympy.Min)):
        name = "std::max" if isinstance(expression, sympy.Max) else "std::min"
        text = cpp(expression.args[0])
        for other in expression.args[1:]:
            text = f"{name}<int64_t>({text}, {cpp(other)})"
        return text
    if expression.is_Float or expression.is_Rational:
        return repr(float(expression))
    if expression.is_Pow and expression.args[1] == -1:
        return f"(1.0 / {cpp(expression.args[0])})"
    if expression.is_Pow and expression.args[1].is_Integer and expression.args[1] > 0:
        return "(" + " * ".join([cpp(expression.args[0])] * int(expression.args[1])) + ")"
    if expression.is_Add or expression.is_Mul:
        return "(" + (" + " if expression.is_Add else " * ").join(cpp(a) for a in expression.args) + ")"
    raise ValueError(f"no C++ for the size {expression}")
