"""Transposed convolution: an ordinary one for each phase of the output, its place modulo the step."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd, prod

import sympy

from assay.engineer.codegen import index as ix
from assay.engineer.codegen import values as vs
from assay.engineer.codegen.direct import Window, biased, operands, routine
from assay.engineer.codegen.index import Loop, Size
from assay.engineer.codegen.padding import padded
from assay.engineer.codegen.program import Kind, Spread, Statement, Unsupported
from assay.engineer.codegen.scalars import Scalar
from assay.engineer.codegen.values import Builder, Value


def transposed(
    lowering: Builder, value: Value, weight: Value, bias: Value | None, window: Window, pad: Sequence[int],
    shape: Sequence[Size], groups: int,
) -> Value:  # fmt: skip
    """One ordinary convolution for each phase of the output, its place modulo the step, with the taps that reach it."""
    if _is_mostly_border(lowering, value, weight, window, shape):
        return _spread(lowering, value, weight, bias, window, pad, shape, groups)
    dims = zip(window.step, window.dilation, pad, window.sizes, value.shape[2:], shape[2:], strict=True)
    phases = [[_Phase.of(p, s, d, border, int(k), size, n) for p in range(s)] for s, d, border, k, size, n in dims]
    before = [sympy.Integer(max(max(-one.first, 0) for one in several)) for several in phases]
    after = [sympy.Integer(max(max(one.beyond, 0) for one in several)) for several in phases]
    zeros = [sympy.Integer(0)] * 2
    source = padded(lowering, value, [*zeros, *before], [*zeros, *after], 0.0) if any((*before, *after)) else value
    sizes = source.shape[2:]
    buffer = lowering.new(shape, value.dtype)
    for several in itertools.product(*phases):
        places = [range(one.count) for one in several]
        taps = [ix.flatten([b + one.first + m * one.apart for b, one, m in zip(before, several, place, strict=True)],
                           ix.contiguous(sizes)) for place in itertools.product(*places)]  # fmt: skip
        part = (*shape[:2], *(one.size for one in several))
        if taps:
            factors = _turned(weight, several, groups)
            made = routine(lowering, source, sizes, factors, bias, taps, 1, part, groups)
        else:
            made = biased(vs.filled(part, value.dtype, 0.0), bias)
        axes = tuple(Loop("i", size) for size in part)
        at = [*axes[:2], *(q * s + one.phase for q, s, one in zip(axes[2:], window.step, several, strict=True))]
        target = ix.flatten(at, buffer.stride)
        lowering.program.steps.append(Statement(Kind.MAP, buffer.name, axes, target, made.at(axes)))
    return vs.held(buffer)


_TOO_MUCH = 1.3
"""Times as many multiplications: below that, adding each contribution where it belongs takes as long as is saved."""
_ADDING = 4.0
"""Multiplications that take as long as adding one contribution, of which there is one for all of a group's channels."""


def _is_mostly_border(lowering: Builder, value: Value, weight: Value, window: Window, shape: Sequence[Size]) -> bool:
    """Whether most of what an ordinary convolution would multiply by is zeros around the input, at the task's sizes."""
    if any(s != 1 for s in window.step) or not any(ix.hinted(size, {}) > 1 for size in window.sizes):
        return False
    reach = [(int(k) - 1) * d for k, d in zip(window.sizes, window.dilation, strict=True)]
    given = [ix.hinted(size, lowering.program.hints) for size in value.shape[2:]]
    made = [ix.hinted(size, lowering.program.hints) for size in shape[2:]]
    made[-1] += reach[-1]
    few = ix.hinted(weight.shape[0], {})
    return prod(made) > prod(given) * (_TOO_MUCH + _ADDING / few)


def _spread(
    lowering: Builder, value: Value, weight: Value, bias: Value | None, window: Window, pad: Sequence[int],
    shape: Sequence[Size], groups: int,
) -> Value:  # fmt: skip
    """By the routine of spread.h."""
    ones, buffer = [1] * (5 - len(shape)), lowering.new(shape, value.dtype)
    one = sympy.Integer(1)
    lowering.program.steps.append(
        Spread(
            buffer.name, *operands(lowering, value, weight, bias), shape[0], groups,
            ix.floor_div(weight.shape[0], sympy.Integer(groups)), weight.shape[1],
            (*[one] * len(ones), *value.shape[2:]), (*[one] * len(ones), *window.sizes), (*[0] * len(ones), *pad),
            (*ones, *window.dilation), (*[one] * len(ones), *shape[2:]),
        )
    )  # fmt: skip
    return vs.held(buffer)


@dataclass(frozen=True, slots=True)
class _Phase:
    """One phase along one dimension: output q * step + phase sums inputs q + first + m * apart, m below `count`.

    Input m meets tap `tap` + (count - 1 - m) * `tap_step`: the last tap reaches back furthest. `beyond` is how far the
    last output reaches over the input's end.
    """

    phase: int
    size: Size
    count: int
    first: int
    apart: int
    beyond: int
    tap: int
    tap_step: int

    @classmethod
    def of(cls, phase: int, step: int, dilation: int, pad: int, window: int, size: Size, outputs: Size) -> _Phase:
        """Taps t with t * dilation = phase + pad modulo the step.

        Raises Unsupported for sizes that are not a step apart.
        """
        mine = ix.floor_div(outputs - 1 - phase + step, sympy.Integer(step))
        taps = [t for t in range(window) if (phase + pad - t * dilation) % step == 0]
        if not taps:
            return cls(phase, mine, 0, 0, 0, 0, 0, 0)
        period = step // gcd(step, dilation)
        whole, apart = (phase + pad - taps[0] * dilation) // step, period * dilation // step
        beyond = sympy.expand(mine + whole - size)
        if not beyond.is_Integer:
            raise Unsupported("a transposed convolution whose output is not a multiple of its input")
        return cls(phase, mine, len(taps), whole - (len(taps) - 1) * apart, apart, int(beyond), taps[0], period)


def _turned(weight: Value, several: Sequence[_Phase], groups: int) -> Value:
    """The taps of a phase, last to first, as [outs, channels of a group, taps]."""
    channels, outs = ix.floor_div(weight.shape[0], sympy.Integer(groups)), weight.shape[1]

    def at(index: vs.Index) -> Scalar:
        places = (one.tap + (one.count - 1 - m) * one.tap_step for one, m in zip(several, index[2:], strict=True))
        group = ix.floor_div(index[0], outs)
        return weight.at((sympy.expand(group * channels + index[1]), ix.modulo(index[0], outs), *places))

    counts = (sympy.Integer(one.count) for one in several)
    return Value((outs * groups, channels, *counts), weight.dtype, at)
