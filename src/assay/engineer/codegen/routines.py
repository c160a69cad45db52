"""Calls of what is not written out as loops: the routines of multiply.h, convolve.h and spread.h."""

from __future__ import annotations

from collections.abc import Container, Sequence

import sympy

from assay.engineer.codegen import index as ix
from assay.engineer.codegen.index import Size, cpp
from assay.engineer.codegen.program import Convolution, Product, Spread
from assay.engineer.codegen.schedule import Schedule

_FEWEST_CHANNELS = 8
"""With fewer the transforms take longer than the products that they save."""


def product(one: Product, slot: int, finish: Sequence[str] = ()) -> list[str]:
    """The call; it takes two slots of scratch memory. `finish` is what is done with `count` elements of a `row`."""
    operands = f"{one.left}, {one.right}, {one.buffer}"
    call = f"multiply({_sizes(one)}, {cpp(one.batch)}, {operands}, {slot}, threads"
    if not finish:
        return [f"{call});"]
    return [
        f"{call}, [&](int64_t top, int64_t rows, int64_t first, int64_t count) {{",
        "  for (int64_t row = top; row < top + rows; row++) {",
        *("    " + line for line in finish),
        "  }",
        "});",
    ]


def product_of_piece(one: Product, pieces: Container[str], slot: int) -> list[str]:
    """The call for one of a batch, inside a loop over `piece`; the buffers in `pieces` hold that one alone."""

    def part(name: str, size: Size) -> str:
        return name if name in pieces else f"{name} + piece * {cpp(sympy.expand(size))}"

    parts = (one.left, one.m * one.k), (one.right, one.k * one.n), (one.buffer, one.m * one.n)
    operands = ", ".join(part(name, size) for name, size in parts)
    return [f"multiply_alone({_sizes(one)}, {operands}, {slot});"]


def _sizes(one: Product) -> str:
    turned = f"{str(one.left_turned).lower()}, {str(one.right_turned).lower()}"
    return f"{{{cpp(one.m)}, {cpp(one.n)}, {cpp(one.k)}, {turned}}}"


def filtering(one: Convolution, schedule: Schedule) -> int:
    """Outputs each way of a tile of winograd.h; 0 where it is not for this convolution."""
    width = one.width
    places = [row * width + column for row in range(3) for column in range(3)]
    is_square = len(one.taps) == len(places) and all(map(ix.same, one.taps, places))
    flat = one.out_sizes[0] == 1 and ix.same(one.channel_step, one.rows * width)
    wide = bool(one.channels.is_Integer and one.channels >= _FEWEST_CHANNELS)
    return schedule.winograd if is_square and flat and wide and one.groups == 1 else 0


def filtered(one: Convolution, tile: int, slot: int) -> list[str]:
    """The call; it takes four slots of scratch memory."""
    sizes = (one.batch, one.channels, one.outs, one.rows, one.width, *one.out_sizes[1:])
    numbers = ", ".join(cpp(size) for size in sizes)
    operands = f"{one.source}, {one.weight}, {one.bias or 'nullptr'}, {one.buffer}"
    return [f"filter<{tile}>({{{numbers}}}, {operands}, {slot}, threads);"]


def convolution(one: Convolution, slot: int) -> list[str]:
    """Where each term of a sum lies, in scratch memory, and the call."""
    group_step = sympy.expand(one.channels * one.channel_step)
    terms = sympy.expand(one.channels * len(one.taps))
    taps = ", ".join(cpp(tap) for tap in one.taps)
    sizes = (one.batch, sympy.Integer(one.groups), one.outs, terms, sympy.expand(group_step * one.groups), group_step,
             one.width, one.rows, *one.out_sizes)  # fmt: skip
    numbers = ", ".join(cpp(size) for size in sizes)
    return [
        "{",
        f"  const int64_t taps[] = {{{taps}}};",
        f"  int64_t* __restrict at = scratch<int64_t>({slot}, {cpp(terms)});",
        f"  for (int64_t c = 0; c < {cpp(one.channels)}; c++) {{",
        f"    for (int64_t t = 0; t < {len(one.taps)}; t++) "
        f"at[c * {len(one.taps)} + t] = c * {cpp(one.channel_step)} + taps[t];",
        "  }",
        f"  convolve({{{numbers}}}, {one.source}, {one.weight}, {one.bias or 'nullptr'}, {one.buffer}, at, threads);",
        "}",
    ]


def spread(one: Spread, slot: int) -> list[str]:
    """The call; it takes three slots of scratch memory."""
    lists = (one.sizes, one.window, one.pad, one.dilation, one.out_sizes)
    sizes = ", ".join("{" + ", ".join(cpp(sympy.sympify(size)) for size in several) + "}" for several in lists)
    numbers = ", ".join(cpp(sympy.sympify(size)) for size in (one.batch, one.groups, one.channels, one.outs))
    operands = f"{one.source}, {one.weight}, {one.bias or 'nullptr'}, {one.buffer}"
    return [f"spread({{{numbers}, {sizes}}}, {operands}, {slot}, threads);"]
