"""Calls of the routine of convolve.h: on padded inputs, whose planes are split into phases where windows skip."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import sympy

from assay.engineer.codegen import index as ix
from assay.engineer.codegen import values as vs
from assay.engineer.codegen.index import Size
from assay.engineer.codegen.padding import padded
from assay.engineer.codegen.program import Convolution
from assay.engineer.codegen.scalars import Scalar
from assay.engineer.codegen.values import Builder, Value


@dataclass(frozen=True, slots=True)
class Window:
    """What an output sees of the input: sizes, by how much it moves, and how far its places lie apart."""

    sizes: tuple[Size, ...]
    step: Sequence[int]
    dilation: Sequence[int]


def biased(made: Value, bias: Value | None) -> Value:
    """With a number for each channel added."""
    return made if bias is None else vs.mapped("add", made.dtype, [made, vs.broadcast(bias, made.shape, [1])])


def direct(
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
    return routine(lowering, source, sizes, weight, bias, taps, prod(window.step), shape, groups)


def routine(
    lowering: Builder, source: Value, sizes: Sequence[Size], weight: Value, bias: Value | None, taps: Sequence[Size],
    phases: int, shape: Sequence[Size], groups: int,
) -> Value:  # fmt: skip
    """The call alone: `source` has `phases` planes of `sizes` to a channel, `weight` is [outs, channels, taps]."""
    ones = (sympy.Integer(1),) * (5 - len(shape))
    source_sizes, out_sizes = (*ones, *sizes), (*ones, *shape[2:])
    buffer = lowering.new(shape, source.dtype)
    lowering.program.steps.append(
        Convolution(
            buffer.name, *operands(lowering, source, weight, bias), shape[0], groups,
            weight.shape[1], ix.floor_div(shape[1], sympy.Integer(groups)), tuple(taps),
            sympy.expand(phases * ix.product(sizes)), source_sizes[1], source_sizes[2],
            (out_sizes[0], out_sizes[1], out_sizes[2]),
        )
    )  # fmt: skip
    return vs.held(buffer)


def operands(lowering: Builder, source: Value, weight: Value, bias: Value | None) -> tuple[str, str, str | None]:
    """The buffers that hold them."""
    held = lowering.stored(source).buffer, lowering.stored(weight).buffer
    given = None if bias is None else lowering.stored(bias).buffer
    assert held[0] is not None
    assert held[1] is not None
    return held[0], held[1], given


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
