"""What one element of a result is, as an expression over elements of buffers; equal expressions are one object.

Positions inside are symbolic (index.py). Element types follow PyTorch: the graph has made every conversion explicit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from assay.core.dtypes import DType
from assay.engineer.codegen.index import Lookup, Loop, Size, replaced, start_names


@dataclass(frozen=True, eq=False, slots=True)
class Scalar:
    """One element. `key` names it; made by the functions below only, so that equal keys are the same object."""

    dtype: DType


@dataclass(frozen=True, eq=False, slots=True)
class Load(Scalar):
    """An element of a buffer, at `offset` in elements; its `Lookup`s are positions that are data."""

    buffer: str
    offset: Size


@dataclass(frozen=True, eq=False, slots=True)
class Constant(Scalar):
    """A number."""

    value: float | int | bool


@dataclass(frozen=True, eq=False, slots=True)
class Position(Scalar):
    """A symbolic integer as a value, such as an element of arange."""

    value: Size


@dataclass(frozen=True, eq=False, slots=True)
class Call(Scalar):
    """A function of the prelude, or "convert", on values."""

    function: str
    arguments: tuple[Scalar, ...]


_made: dict[object, Scalar] = {}


def start_program() -> None:
    """Forget what other programs were made of: a buffer of the same name may have another type here."""
    _made.clear()
    start_names()


def _one(key: object, make: Callable[[], Scalar]) -> Scalar:
    found = _made.get(key)
    if found is None:
        found = _made[key] = make()
    return found


def load(dtype: DType, buffer: str, offset: Size) -> Scalar:
    """See `Load`."""
    return _one(("load", dtype, buffer, offset), lambda: Load(dtype, buffer, offset))


def constant(dtype: DType, value: float | int | bool) -> Scalar:
    """See `Constant`."""
    return _one(("constant", dtype, repr(value)), lambda: Constant(dtype, value))


def position(dtype: DType, value: Size) -> Scalar:
    """See `Position`."""
    return _one(("position", dtype, value), lambda: Position(dtype, value))


def call(dtype: DType, function: str, *arguments: Scalar) -> Scalar:
    """See `Call`; a conversion to the type that a value has is the value."""
    if function == "convert" and arguments[0].dtype is dtype:
        return arguments[0]
    key = ("call", dtype, function, tuple(map(id, arguments)))
    return _one(key, lambda: Call(dtype, function, arguments))


def children(scalar: Scalar) -> tuple[Scalar, ...]:
    """What it is made of."""
    if isinstance(scalar, Call):
        return scalar.arguments
    where = scalar.offset if isinstance(scalar, Load) else scalar.value if isinstance(scalar, Position) else None
    if where is None:
        return ()
    return tuple(one.scalar for one in sorted(where.atoms(Lookup), key=str))


def walk(scalar: Scalar) -> Iterator[Scalar]:
    """It and everything in it, parts first, each once."""
    seen: set[int] = set()

    def visit(one: Scalar) -> Iterator[Scalar]:
        if id(one) not in seen:
            seen.add(id(one))
            for child in children(one):
                yield from visit(child)
            yield one

    yield from visit(scalar)


def loads(scalar: Scalar) -> Iterator[Load]:
    """The buffer elements that it reads."""
    return (one for one in walk(scalar) if isinstance(one, Load))


def loads_in(where: Size) -> Iterator[Load]:
    """The buffer elements that a position is made of."""
    for one in where.atoms(Lookup):
        yield from loads(one.scalar)


def positions(scalar: Scalar) -> Iterator[Size]:
    """All symbolic positions in it."""
    for one in walk(scalar):
        if isinstance(one, Load):
            yield one.offset
        elif isinstance(one, Position):
            yield one.value


def axes_of(where: Size) -> set[Loop]:
    """The loop variables on which a position depends, those of looked up elements included."""
    found = set(where.atoms(Loop))
    for one in where.atoms(Lookup):
        for inside in positions(one.scalar):
            found |= axes_of(inside)
    return found


def loops_in(scalar: Scalar) -> set[Loop]:
    """The loop variables on which its own positions depend, its parts' included."""
    return {loop for where in positions(scalar) for loop in where.atoms(Loop)}


def relocated(scalar: Scalar, place: Callable[[Load], Size]) -> Scalar:
    """With every load at another offset of its buffer, those of looked up positions too."""
    done: dict[int, Scalar] = {}

    def inside(where: Size) -> Size:
        lookups = {one: Lookup(done[id(one.scalar)]) for one in where.atoms(Lookup)}
        return replaced(where, {old: new for old, new in lookups.items() if old != new})

    for one in walk(scalar):
        if isinstance(one, Load):
            done[id(one)] = load(one.dtype, one.buffer, inside(place(one)))
        elif isinstance(one, Position):
            done[id(one)] = position(one.dtype, inside(one.value))
        elif isinstance(one, Call):
            done[id(one)] = call(one.dtype, one.function, *(done[id(a)] for a in one.arguments))
        else:
            done[id(one)] = one
    return done[id(scalar)]


def target_relocated(where: Size, place: Callable[[Load], Size]) -> Size:
    """A position whose looked up data are loaded from other offsets."""
    lookups = {one: Lookup(relocated(one.scalar, place)) for one in where.atoms(Lookup)}
    return replaced(where, {old: new for old, new in lookups.items() if old != new})


def rebuilt(scalar: Scalar, mapping: dict[Size, Size]) -> Scalar:
    """With loop variables replaced."""
    done: dict[int, Scalar] = {}
    for one in walk(scalar):
        if isinstance(one, Load):
            done[id(one)] = load(one.dtype, one.buffer, moved(one.offset, mapping))
        elif isinstance(one, Position):
            done[id(one)] = position(one.dtype, moved(one.value, mapping))
        elif isinstance(one, Call):
            done[id(one)] = call(one.dtype, one.function, *(done[id(a)] for a in one.arguments))
        else:
            done[id(one)] = one
    return done[id(scalar)]


def moved(where: Size, mapping: dict[Size, Size]) -> Size:
    """A position with loop variables replaced, in the data that it is made of too."""
    lookups = {one: Lookup(rebuilt(one.scalar, mapping)) for one in where.atoms(Lookup)}
    return replaced(where, mapping | lookups)
