"""Calls of what is not written out as loops: the routines of routines.cuh."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sympy

from assay.engineer.codegen.index import Size, cpp, hinted, product
from assay.engineer.codegen.program import Convolution, Product, Routine, Spread
from assay.engineer.cuda.sizes import plan_text

_LARGE = 1024
"""A matrix of this many rows and columns has 64 tiles of 128 a side, for half of the multiprocessors of an H100."""
_PART = 512
"""kPart of routines.cuh."""


@dataclass(frozen=True, slots=True)
class RoutineCall:
    """The lines of a kernel that calls a routine, its grid in a plan's expressions, and a block's threads."""

    lines: list[str]
    grid: list[str]
    threads: int


def called(one: Routine, hints: Mapping[str, int]) -> RoutineCall:
    """The call of a routine; `hints` are the sizes at the task's own axes."""
    if isinstance(one, Product):
        return _product(one, hints)
    return _convolution(one) if isinstance(one, Convolution) else _spread(one)


def _product(one: Product, hints: Mapping[str, int]) -> RoutineCall:
    """Large tiles where both sides fill some; sums in parts where they are long at the task's own sizes."""
    m, n, k = (hinted(size, hints) for size in (one.m, one.n, one.k))
    each = 8 if min(m, n) >= _LARGE else 4
    turned = f"{str(one.left_turned).lower()}, {str(one.right_turned).lower()}"
    sizes = [("left", one.left, one.m * one.k), ("right", one.right, one.k * one.n), ("out", one.buffer, one.m * one.n)]
    lines = [f"const int64_t step_{name} = {cpp(sympy.expand(size))};" for name, _, size in sizes]
    operands = ", ".join(f"{buffer} + blockIdx.z * step_{name}" for name, buffer, _ in sizes)
    choices = f"{turned}, {each}, {str(k > _PART).lower()}"
    lines.append(f"multiply<{choices}>({operands}, {cpp(one.m)}, {cpp(one.n)}, {cpp(one.k)});")
    tile = 16 * each
    grid = [f"cdiv({plan_text(one.n)}, {tile})", f"cdiv({plan_text(one.m)}, {tile})", plan_text(one.batch)]
    return RoutineCall(lines, grid, 256)


def _convolution(one: Convolution) -> RoutineCall:
    numbers = (one.batch, sympy.Integer(one.groups), one.channels, one.outs, sympy.Integer(len(one.taps)),
               one.channel_step, one.rows, one.width)  # fmt: skip
    lines = [
        f"const int64_t taps[] = {{{', '.join(cpp(tap) for tap in one.taps)}}};",
        f"const ConvolutionSizes sizes = {{{_list(numbers)}, {{{_list(one.out_sizes)}}}}};",
        f"convolve(sizes, {one.source}, {one.weight}, {one.bias or 'nullptr'}, {one.buffer}, "
        "[&](int64_t t) { return taps[t]; });",
    ]
    return RoutineCall(lines, _grid(one.out_sizes, one.outs, one.batch * one.groups), 128)


def _spread(one: Spread) -> RoutineCall:
    numbers = (one.batch, sympy.Integer(one.groups), one.channels, one.outs)
    lists = (one.sizes, one.window, map(sympy.Integer, one.pad), map(sympy.Integer, one.dilation), one.out_sizes)
    several = ", ".join("{" + _list(each) + "}" for each in lists)
    lines = [
        f"const SpreadSizes sizes = {{{_list(numbers)}, {several}}};",
        f"spread(sizes, {one.source}, {one.weight}, {one.bias or 'nullptr'}, {one.buffer});",
    ]
    return RoutineCall(lines, _grid(one.out_sizes, one.outs, one.batch * one.groups), 128)


def _grid(out_sizes: tuple[Size, ...], outs: Size, images: Size) -> list[str]:
    places = plan_text(sympy.expand(product(out_sizes)))
    return [f"cdiv({places}, 128)", f"cdiv({plan_text(outs)}, 8)", plan_text(sympy.expand(images))]


def _list(sizes: object) -> str:
    return ", ".join(cpp(size) for size in sizes)  # type: ignore[attr-defined]
