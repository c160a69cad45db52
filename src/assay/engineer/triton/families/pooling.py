"""Pooling along one to three dimensions: every output reads its window where it lies, borders are masked, not copied.

Neighbouring windows overlap, and what they share comes from the first-level cache.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import prod

import sympy

from assay.core.dtypes import DType
from assay.engineer.codegen import index as ix
from assay.engineer.codegen import values as vs
from assay.engineer.codegen.index import Size
from assay.engineer.codegen.program import Unsupported
from assay.engineer.codegen.scalars import Scalar, call, constant, position
from assay.engineer.codegen.values import Value
from assay.engineer.triton.schedule import MAPS, USUAL, Schedule, space
from assay.engineer.triton.sketch import Sketch, Term
from assay.engineer.triton.source import DeviceSource

SPACE = space(MAPS)
_MOST_TAPS = 128
"""Places of a window that are written out; 11 x 11 are 121."""


@dataclass(frozen=True, slots=True)
class Window:
    """Sizes for each dimension, as PyTorch's pooling modules have them."""

    width: tuple[int, ...]
    step: tuple[int, ...]
    pad: tuple[int, ...]
    dilation: tuple[int, ...] = ()
    counts_border: bool = True
    """Of an average: whether it divides by the places beyond the input's edge too."""


def pool(operation: str, dtype: DType, window: Window, schedule: Schedule = USUAL) -> DeviceSource:
    """out0 = the "max" or "mean" of in0 [batch, channels, *spatial] over windows, as many as out0's shape says.

    So PyTorch's ceil_mode is a larger out0; its averages, which then leave out what lies beyond the border, are the
    same. Raises Unsupported for windows of more than 128 places and other operations.
    """
    if operation not in ("max", "mean") or prod(window.width) > _MOST_TAPS:
        raise Unsupported(f"a pooling {operation!r} over {prod(window.width)} places")
    sketch, dims = Sketch(), len(window.width)
    x = sketch.input(0, dtype, (None,) * (dims + 2)).value
    outputs = tuple(sketch.size(f"out0.shape[{d + 2}]") for d in range(dims))
    taps = list(itertools.product(*map(range, window.width)))
    function, fill = ("maximum", float("-inf")) if operation == "max" else ("add", 0.0)

    def at(index: vs.Index) -> Scalar:
        found = (_tap(x, window, index, tap, fill) for tap in taps)
        whole = reduce(lambda a, b: call(x.dtype, function, a, b), found)
        if operation == "max":
            return whole
        return call(x.dtype, "div", whole, position(x.dtype, _count(x, window, index)))

    sketch.output(Term(sketch, Value((*x.shape[:2], *outputs), x.dtype, at)), dtype)
    return sketch.source(schedule)


def _tap(x: Value, window: Window, index: vs.Index, tap: Sequence[int], fill: float) -> Scalar:
    """One place of a window, or what counts as nothing beyond the edge."""
    dilation = window.dilation or (1,) * len(tap)
    places, inside = [], []
    for d, (i, t) in enumerate(zip(index[2:], tap, strict=True)):
        place = sympy.expand(i * window.step[d] - window.pad[d] + t * dilation[d])
        places.append(place)
        inside.append(_compared("ge", place, sympy.Integer(0)))
        inside.append(_compared("lt", place, x.shape[d + 2]))
    here = reduce(lambda a, b: call(DType.BOOL, "bitwise_and", a, b), inside)
    return call(x.dtype, "guarded", here, x.at((*index[:2], *places)), constant(x.dtype, fill))


def _compared(comparison: str, a: Size, b: Size) -> Scalar:
    return call(DType.BOOL, comparison, position(DType.INT64, a), position(DType.INT64, b))


def _count(x: Value, window: Window, index: vs.Index) -> Size:
    """The places of a window that an average divides by."""
    counts = []
    for d, i in enumerate(index[2:]):
        first = i * window.step[d] - window.pad[d]
        border = window.pad[d] if window.counts_border else 0
        last = sympy.Min(first + window.width[d], x.shape[d + 2] + border)
        counts.append(last - (first if window.counts_border else sympy.Max(first, 0)))
    return ix.product(counts)
