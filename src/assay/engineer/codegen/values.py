"""Tensors that need not exist: a value knows its shape and what each element is; views and maps only compose."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import sympy

from assay.core.dtypes import DType
from assay.engineer.codegen import index as ix
from assay.engineer.codegen.index import Loop, Size
from assay.engineer.codegen.program import Buffer, Kind, Program, Statement
from assay.engineer.codegen.scalars import Load, Scalar, call, constant, load, position
from assay.engineer.graph import Node

Index = tuple[Size, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A tensor. `buffer` is the buffer that holds exactly it, without gaps, where there is one.

    `heavy`: whether computing an element again costs more than loading it.
    """

    shape: tuple[Size, ...]
    dtype: DType
    at: Callable[[Index], Scalar]
    buffer: str | None = None
    heavy: bool = False

    def loops(self) -> tuple[Loop, ...]:
        """A fresh variable for each dimension."""
        return tuple(Loop("i", size) for size in self.shape)


def stored(name: str, shape: Sequence[Size], stride: Sequence[Size], dtype: DType) -> Value:
    """The value of a buffer."""
    shape, stride = tuple(shape), tuple(stride)
    dense = ix.is_contiguous(shape, stride)
    return Value(shape, dtype, lambda at: load(dtype, name, ix.flatten(at, stride)), name if dense else None)


def held(buffer: Buffer) -> Value:
    """The value of a whole buffer."""
    return stored(buffer.name, buffer.shape, buffer.stride, buffer.dtype)


def in_memory(program: Program, value: Value, order: Sequence[int]) -> Buffer | None:
    """The buffer that holds exactly a value, its dimensions in this order from the slowest to the fastest.

    What was turned twice is found where it lies.
    """
    if value.buffer is not None and list(order) == sorted(order):
        return program.buffers[value.buffer]
    axes = value.loops()
    body = value.at(axes)
    if not isinstance(body, Load):
        return None
    buffer = program.buffers[body.buffer]
    whole = ix.is_contiguous(buffer.shape, buffer.stride) and ix.same(ix.product(buffer.shape), ix.product(value.shape))
    place = ix.flatten([axes[d] for d in order], ix.contiguous([value.shape[d] for d in order]))
    return buffer if whole and ix.same(body.offset, place) else None


def filled(shape: Sequence[Size], dtype: DType, value: float | int | bool) -> Value:
    """The same number everywhere."""
    return Value(tuple(shape), dtype, lambda _: constant(dtype, value))


def numbers(shape: Sequence[Size], dtype: DType, size: Size) -> Value:
    """The same symbolic number everywhere."""
    return Value(tuple(shape), dtype, lambda _: position(dtype, size))


def mapped(function: str, dtype: DType, arguments: Sequence[Value], *, heavy: bool = False) -> Value:
    """A function of the elements at the same place; all arguments have the shape of the first."""
    args = tuple(arguments)
    return Value(
        args[0].shape, dtype, lambda at: call(dtype, function, *(a.at(at) for a in args)),
        heavy=heavy or any(a.heavy for a in args),
    )  # fmt: skip


def viewed(value: Value, shape: Sequence[Size], where: Callable[[Index], Index], *, same_order: bool = False) -> Value:
    """Another shape; `where` gives the place in `value` of a place in the view.

    `same_order` says that elements keep their order, so that a buffer that holds `value` holds the view too.
    """
    buffer = value.buffer if same_order else None
    return Value(tuple(shape), value.dtype, lambda at: value.at(where(at)), buffer, value.heavy)


def broadcast(value: Value, shape: Sequence[Size], dims: Sequence[int]) -> Value:
    """Dimension j of `value` becomes dims[j]; sizes of one are repeated."""
    zero = sympy.Integer(0)

    def where(at: Index) -> Index:
        return tuple(zero if size == 1 else at[d] for size, d in zip(value.shape, dims, strict=True))

    grows = ix.same(ix.product(value.shape), ix.product(shape))
    return viewed(value, shape, where, same_order=grows)


def reshaped(value: Value, shape: Sequence[Size]) -> Value:
    """The same elements in the same order."""
    shape = tuple(shape)

    def where(at: Index) -> Index:
        return ix.unflatten(ix.flatten(at, ix.contiguous(shape)), value.shape)

    return viewed(value, shape, where, same_order=True)


def split(value: Value, dim: int, outer: Size) -> Value:
    """Dimension `dim` as two, of which the first has size `outer`."""
    inner = ix.floor_div(value.shape[dim], outer)
    shape = (*value.shape[:dim], outer, inner, *value.shape[dim + 1 :])

    def where(at: Index) -> Index:
        return (*at[:dim], sympy.expand(at[dim] * inner + at[dim + 1]), *at[dim + 2 :])

    return viewed(value, shape, where, same_order=True)


def collapsed(value: Value, first: int, last: int) -> Value:
    """Dimensions first..last as one."""
    inside = value.shape[first : last + 1]
    shape = (*value.shape[:first], ix.product(inside), *value.shape[last + 1 :])

    def where(at: Index) -> Index:
        return (*at[:first], *ix.unflatten(at[first], inside), *at[first + 1 :])

    return viewed(value, shape, where, same_order=True)


def permuted(value: Value, order: Sequence[int]) -> Value:
    """Dimension j of the view is dimension order[j] of `value`."""
    back = [order.index(d) for d in range(len(order))]
    return viewed(value, [value.shape[d] for d in order], lambda at: tuple(at[j] for j in back))


def strided(value: Value, shape: Sequence[Size], stride: Sequence[Size], offset: Size) -> Value:
    """as_strided on a value that stands for a tensor without gaps."""
    stride = tuple(stride)
    whole = offset == 0 and ix.same(ix.product(shape), ix.product(value.shape))
    dense = whole and ix.is_contiguous(shape, stride)
    return viewed(
        value, shape, lambda at: ix.unflatten(sympy.expand(ix.flatten(at, stride) + offset), value.shape),
        same_order=dense,
    )  # fmt: skip


class Builder(Protocol):
    """What generators of single operators need of the lowering."""

    program: Program
    nodes: Mapping[str, Node]
    """The graph's, by name."""
    roots: dict[str, str]
    """For each view what it shares its memory with."""

    def one(self, argument: Any) -> Value:
        """The tensor that an argument names."""

    def new(self, shape: Sequence[Size], dtype: DType) -> Buffer:
        """A temporary without gaps."""

    def stored(self, value: Value) -> Value:
        """The value in a buffer of its own."""

    def reduced(self, value: Value, dims: Sequence[int], operation: str, dtype: DType) -> Value:
        """Reduced over dimensions."""


def scanned(lowering: Builder, value: Value, dim: int, operation: str, dtype: DType) -> Value:
    """Each element from those before it along a dimension, in a buffer."""
    axes = value.loops()
    buffer = lowering.new(value.shape, dtype)
    body, target = call(dtype, "convert", value.at(axes)), ix.flatten(axes, buffer.stride)
    along = axes[dim % len(axes)]
    lowering.program.steps.append(Statement(Kind.SCAN, buffer.name, axes, target, body, operation, (along,)))
    return held(buffer)


def stacked(lowering: Builder, parts: Sequence[Value], dim: int) -> Value:
    """Values of one shape along a new dimension, in a buffer."""
    shape, dtype = parts[0].shape, parts[0].dtype
    buffer = lowering.new((*shape[:dim], sympy.Integer(len(parts)), *shape[dim:]), dtype)
    for number, part in enumerate(parts):
        axes = part.loops()
        target = ix.flatten((*axes[:dim], sympy.Integer(number), *axes[dim:]), buffer.stride)
        lowering.program.steps.append(Statement(Kind.MAP, buffer.name, axes, target, part.at(axes)))
    return held(buffer)


Lowered: TypeAlias = Value | tuple[Value | None, ...]
"""A result, or several; None where a part of them is not generated."""
Generator: TypeAlias = Callable[[Builder, Node], Lowered]
"""What makes an operator's results."""
