"""Convolution as statements.

One channel to a group is written out tap by tap; others are computed by our own routine. A transposed convolution is
one ordinary convolution for each phase of its output (its place modulo the step), which some of the taps reach.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import sympy

from assay.core.dtypes import DType
from assay.engineer.codegen import index as ix
from assay.engineer.codegen import values as vs
from assay.engineer.codegen.index import Loop, Size
from assay.engineer.codegen.program import Convolution, Kind, Statement, Unsupported
from assay.engineer.codegen.scalars import Scalar, call
from assay.engineer.codegen.values import Builder, Generator, Value
from assay.engineer.codegen.windows import padded
from assay.engineer.graph import Node, Reference

_MOST_TAPS = 49
"""A window of 7 x 7; larger ones make a body that no longer fits the registers by far."""


def convolution(lowering: Builder, node: Node) -> Value:
    """aten.convolution in one to three dimensions."""
    value, weight = lowering.one(node.arguments[0]), lowering.one(node.arguments[1])
    given, step, pad, dilation, transposed, _, groups = node.arguments[2:9]
    dims = len(value.shape) - 2
    if dims not in (1, 2, 3) or node.type.dtype is not DType.FLOAT32:
        raise Unsupported(f"a convolution of {dims} dimensions in {node.type.dtype.value}")
    step, pad, dilation = ([int(each) for each in numbers] for numbers in (step, pad, dilation))
    bias = lowering.one(given) if isinstance(given, Reference) else None
    shape = node.type.shape
    if not transposed:
        window = Window(weight.shape[2:], step, dilation)
        taps = prod(int(size) for size in window.sizes)
        if weight.shape[1] == 1 and weight.shape[0] == value.shape[1] == groups and dims < 3 and taps <= _MOST_TAPS:
            borders = [sympy.Integer(0)] * 2 + [sympy.Integer(p) for p in pad]
            value = padded(lowering, value, borders, borders, 0.0) if any(pad) else value
            return _biased(_depthwise(lowering, value, weight, window, shape), bias)
        return _direct(lowering, value, weight, bias, window, pad, shape, int(groups))
    if groups != 1 or any(d != 1 for d in dilation):
        raise Unsupported("transposed convolution with groups or dilation")
    return _transposed(lowering, value, weight, bias, step, pad, shape)


@dataclass(frozen=True, slots=True)
class Window:
    """What an output sees of the input: sizes, by how much it moves, and how far its places lie apart."""

    sizes: tuple[Size, ...]
    step: Sequence[int]
    dilation: Sequence[int]


def _biased(made: Value, bias: Value | None) -> Value:
    return made if bias is None else vs.mapped("add", made.dtype, [made, vs.broadcast(bias, made.shape, [1])])


def _depthwise(lowering: Builder, value: Value, weight: Value, window: Window, shape: Sequence[Size]) -> Value:

    def at(index: vs.Index) -> Scalar:
        batch, channel, *place = index
        total: Scalar | None = None
        for taps in itertools.product(*(range(int(size)) for size in window.sizes)):
            here = [p * s + t * d for p, t, s, d in zip(place, taps, window.step, window.dilation, strict=True)]
            factor = weight.at((channel, sympy.Integer(0), *map(sympy.Integer, taps)))
            term = call(value.dtype, "mul", value.at((batch, channel, *here)), factor)
            total = term if total is None else call(value.dtype, "add", total, term)
        assert total is not None
        return total

    return lowering.stored(Value(tuple(shape), value.dtype, at))


def _direct(
    lowering: Builder, value: Value, weight: Value, bias: Value | None, window: Window, pad: Sequence[int],
    shape: Sequence[Size], groups: int,
) -> Value:  # fmt: skip
    """By the routine of convolve.h, on the padded input, split into phases where the window moves by more than one."""
    source, sizes = _source(lowering, value, window.step, pad)
    plane = ix.product(sizes)
    taps = []
    for place in itertools.product(*(range(int(size)) for size in window.sizes)):
        reach = [divmod(t * d, s) for t, d, s in zip(place, window.dilation, window.step, strict=True)]
        phase = ix.flatten(
            [sympy.Integer(rest) for _, rest in reach], ix.contiguous([*map(sympy.Integer, window.step)])
        )
        shift = ix.flatten([sympy.Integer(whole) for whole, _ in reach], ix.contiguous(sizes))
        taps.append(sympy.expand(phase * plane + shift))
    return _routine(lowering, source, sizes, weight, bias, taps, prod(window.step), shape, groups)


def _routine(
    lowering: Builder, source: Value, sizes: Sequence[Size], weight: Value, bias: Value | None, taps: Sequence[Size],
    phases: int, shape: Sequence[Size], groups: int,
) -> Value:  # fmt: skip
    """The call: `source` has `phases` planes of `sizes` to a channel, `weight` is [outs, channels, taps]."""
    ones = (sympy.Integer(1),) * (5 - len(shape))
    source_sizes, out_sizes = (*ones, *sizes), (*ones, *shape[2:])
    buffer = lowering.new(shape, source.dtype)
    kernel, source = lowering.stored(weight), lowering.stored(source)
    bias = None if bias is None else lowering.stored(bias)
    assert kernel.buffer is not None
    assert source.buffer is not None
    lowering.program.steps.append(
        Convolution(
            buffer.name, source.buffer, kernel.buffer, None if bias is None else bias.buffer, shape[0], groups,
            weight.shape[1], ix.floor_div(shape[1], sympy.Integer(groups)), tuple(taps),
            sympy.expand(phases * ix.product(sizes)), source_sizes[1], source_sizes[2],
            (out_sizes[0], out_sizes[1], out_sizes[2]),
        )
    )  # fmt: skip
    return vs.held(buffer)


def _source(lowering: Builder, value: Value, step: Sequence[int], pad: Sequence[int]) -> tuple[Value, tuple[Size, ...]]:
    """The input with its borders, [batch, channels, phases, sizes of a phase's planes], and those sizes.

    Phase p of a dimension holds the places p, p + step, p + 2 step and so on.
    """
    dims = len(step)
    before = [sympy.Integer(0)] * 2 + [sympy.Integer(p) for p in pad]
    whole = [size + 2 * p for size, p in zip(value.shape[2:], pad, strict=True)]
    sizes = tuple(ix.floor_div(size + s - 1, sympy.Integer(s)) for size, s in zip(whole, step, strict=True))
    extra = [sympy.expand(q * s - size) for q, s, size in zip(sizes, step, whole, strict=True)]
    after = [b + e for b, e in zip(before, [sympy.Integer(0)] * 2 + extra, strict=True)]
    if any(size != 0 for size in (*before, *after)):
        value = padded(lowering, value, before, after, 0.0)
    if all(s == 1 for s in step):
        return value, sizes

    def at(index: vs.Index) -> Scalar:
        phases, place = index[2 : 2 + dims], index[2 + dims :]
        return value.at((*index[:2], *(q * s + p for q, s, p in zip(place, step, phases, strict=True))))

    shape = (*value.shape[:2], *(sympy.Integer(s) for s in step), *sizes)
    return lowering.stored(Value(shape, value.dtype, at)), sizes


def _transposed(
    lowering: Builder, value: Value, weight: Value, bias: Value | None, step: Sequence[int], pad: Sequence[int],
    shape: Sequence[Size],
) -> Value:  # fmt: skip
    """One ordinary convolution for each phase of the output, its place modulo the step, with the taps that reach it."""
    dims = zip(step, pad, weight.shape[2:], value.shape[2:], shape[2:], strict=True)
    phases = [[_Phase.of(p, s, border, int(k), size, n) for p in range(s)] for s, border, k, size, n in dims]
    before = [sympy.Integer(max(max(-one.first, 0) for one in several)) for several in phases]
    after = [sympy.Integer(max(max(one.beyond, 0) for one in several)) for several in phases]
    zeros = [sympy.Integer(0)] * 2
    source = padded(lowering, value, [*zeros, *before], [*zeros, *after], 0.0) if any((*before, *after)) else value
    sizes = source.shape[2:]
    buffer = lowering.new(shape, value.dtype)
    for several in itertools.product(*phases):
        places = [range(one.count) for one in several]
        taps = [ix.flatten([b + one.first + m for b, one, m in zip(before, several, place, strict=True)],
                           ix.contiguous(sizes)) for place in itertools.product(*places)]  # fmt: skip
        part = (*shape[:2], *(one.size for one in several))
        if taps:
            made = _routine(lowering, source, sizes, _turned(weight, several), bias, taps, 1, part, 1)
        else:
            made = _biased(vs.filled(part, value.dtype, 0.0), bias)
        axes = tuple(Loop("i", size) for size in part)
        at = [*axes[:2], *(q * s + one.phase for q, s, one in zip(axes[2:], step, several, strict=True))]
        target = ix.flatten(at, buffer.stride)
        lowering.program.steps.append(Statement(Kind.MAP, buffer.name, axes, target, made.at(axes)))
    return vs.held(buffer)


@dataclass(frozen=True, slots=True)
class _Phase:
    """One phase along one dimension: output q * step + phase sums inputs q + first + m over the taps, last to first.

    `beyond` is how far the last output reaches over the input's end.
    """

    phase: int
    size: Size
    count: int
    first: int
    beyond: int
    tap: int
    step: int

    @classmethod
    def of(cls, phase: int, step: int, pad: int, window: int, size: Size, outputs: Size) -> _Phase:
        """Taps t with t = phase + pad modulo the step. Raises Unsupported for sizes that are not a step apart."""
        whole, tap = divmod(phase + pad, step)
        count = max(-(-(window - tap) // step), 0)
        mine = ix.floor_div(outputs - 1 - phase + step, sympy.Integer(step))
        beyond = sympy.expand(mine + whole - size)
        if not beyond.is_Integer:
            raise Unsupported("a transposed convolution whose output is not a multiple of its input")
        return cls(phase, mine, count, whole - (count - 1), int(beyond), tap, step)


def _turned(weight: Value, several: Sequence[_Phase]) -> Value:
    """The taps of a phase, last to first, as [outs, channels, taps]."""

    def at(index: vs.Index) -> Scalar:
        places = (one.tap + (one.count - 1 - m) * one.step for one, m in zip(several, index[2:], strict=True))
        return weight.at((index[1], index[0], *places))

    counts = (sympy.Integer(one.count) for one in several)
    return Value((weight.shape[1], weight.shape[0], *counts), weight.dtype, at)


GENERATORS: dict[str, Generator] = {"aten.convolution": convolution}
"""By operator."""
