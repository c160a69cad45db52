"""Triton kernels of grouped products; `grouped.py` launches them. Importing this imports Triton.

Where groups begin and end is known to the device only. `multiply` is persistent: a program takes every n-th tile of all
groups' and finds the tile's group by counting the groups whose tiles come before it, in one vector of all groups. Ends
that decrease or lie beyond the rows are cut to what is there, so that nothing outside of the operands is touched.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def multiply(
    x, w, bias, scales, y, ends, row_index, x_rows, rows, inner, outputs, groups,
    x_row, x_column, w_group, w_in, w_out, bias_group, bias_out,
    GROUPS: tl.constexpr, ROWS: tl.constexpr, INNER: tl.constexpr, OUTPUTS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """y [rows, outputs]: y[i] = x[row_index[i]] times w [groups, inner, outputs] of i's group.

    Plus the group's bias [groups, outputs], then times scales [rows].
    The rows beyond the last end are one group more, without a matrix: they become zero. Rows whose index lies outside
    of x become NaN. GROUPS is a power of two above `groups`.
    """
    column_tiles = (outputs + OUTPUTS - 1) // OUTPUTS
    number = tl.arange(0, GROUPS)
    begin, end = _bounds(ends, number, groups, rows)
    row_tiles = tl.where(number <= groups, (end - begin + ROWS - 1) // ROWS, 0)
    until = tl.cumsum(row_tiles, 0) * column_tiles
    for tile in range(tl.program_id(0), tl.max(until, 0), tl.num_programs(0)):
        group = tl.sum((until <= tile).to(tl.int32), 0)
        mine = number == group
        height = tl.sum(tl.where(mine, row_tiles, 0), 0)
        within = tile - tl.sum(tl.where(mine, until, 0), 0) + height * column_tiles
        row = tl.sum(tl.where(mine, begin, 0), 0) + within % height * ROWS + tl.arange(0, ROWS)
        stop = tl.sum(tl.where(mine, end, 0), 0)
        owned = row < tl.where(group < groups, stop, 0)
        output = within // height * OUTPUTS + tl.arange(0, OUTPUTS)
        source, inside = _source(row_index, row, owned, x_rows)
        steps = tl.where(group < groups, inner, 0)
        left, right = x + source[:, None] * x_row, w + group.to(tl.int64) * w_group + output[None, :] * w_out
        total = tl.full((ROWS, OUTPUTS), 0, tl.float32)
        for before in range(0, steps, INNER):
            k = before + tl.arange(0, INNER)
            a = tl.load(left + k[None, :] * x_column, mask=inside[:, None] & (k < inner)[None, :], other=0)
            b = tl.load(right + k[:, None] * w_in, mask=(k < inner)[:, None] & (output < outputs)[None, :], other=0)
            total = tl.dot(a, b, total, input_precision=PRECISION)
        if bias is not None:
            extra = bias + group.to(tl.int64) * bias_group + output * bias_out
            there = output < tl.where(group < groups, outputs, 0)
            total += tl.load(extra, mask=there, other=0).to(tl.float32)[None, :]
        if scales is not None:
            total *= tl.load(scales + row, mask=owned, other=0).to(tl.float32)[:, None]
        if row_index is not None:
            total = tl.where((owned & (inside == 0))[:, None], float("nan"), total)
        place = y + row.to(tl.int64)[:, None] * outputs + output[None, :]
        tl.store(place, total.to(y.dtype.element_ty), mask=(row < stop)[:, None] & (output < outputs)[None, :])


@triton.jit
def outer(
    x, g, out, ends, x_index, g_index, x_rows, g_rows, rows, inputs, outputs,
    x_row, x_column, g_row, g_column, o_group, o_in, o_out,
    ROWS: tl.constexpr, INPUTS: tl.constexpr, OUTPUTS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """out [groups, inputs, outputs] = the group's rows of x, transposed, times its rows of g [rows, outputs].

    A program for each tile of each group's matrix: how many there are is known beforehand, only their work differs. An
    index outside of x makes the group's matrix NaN.
    """
    column_tiles = (outputs + OUTPUTS - 1) // OUTPUTS
    tiles = (inputs + INPUTS - 1) // INPUTS * column_tiles
    group, tile = tl.program_id(0) // tiles, tl.program_id(0) % tiles
    begin, end = _bounds(ends, group, group + 1, rows)
    place = tile // column_tiles * INPUTS + tl.arange(0, INPUTS)
    output = tile % column_tiles * OUTPUTS + tl.arange(0, OUTPUTS)
    total = tl.full((INPUTS, OUTPUTS), 0, tl.float32)
    for before in range(begin, end, ROWS):
        row = before + tl.arange(0, ROWS)
        source, inside = _source(x_index, row, row < end, x_rows)
        left = x + place[:, None] * x_column + source[None, :] * x_row
        a = tl.load(left, mask=(place < inputs)[:, None] & inside[None, :], other=0)
        if x_index is not None:
            a = tl.where(((row < end) & (inside == 0))[None, :], float("nan"), a)
        source, inside = _source(g_index, row, row < end, g_rows)
        right = g + source[:, None] * g_row + output[None, :] * g_column
        b = tl.load(right, mask=inside[:, None] & (output < outputs)[None, :], other=0)
        if g_index is not None:
            b = tl.where(((row < end) & (inside == 0))[:, None], float("nan"), b)
        total = tl.dot(a, b, total, input_precision=PRECISION)
    out += group.to(tl.int64) * o_group + place[:, None] * o_in + output[None, :] * o_out
    tl.store(out, total.to(out.dtype.element_ty), mask=(place < inputs)[:, None] & (output < outputs)[None, :])


@triton.jit
def _bounds(ends, number, groups, rows):
    """First row and end of each group, cut to what is there; of the one after the last, what remains."""
    begin = tl.load(ends + number - 1, mask=(number > 0) & (number <= groups), other=0)
    end = tl.load(ends + number, mask=number < groups, other=rows)
    begin = tl.minimum(tl.maximum(begin, 0), rows).to(tl.int32)
    return begin, tl.maximum(tl.minimum(end, rows).to(tl.int32), begin)


@triton.jit
def _source(row_index, row, there, x_rows):
    """The rows of x that are read, and whether they are there."""
    source, inside = row.to(tl.int64), there
    if row_index is not None:
        source = tl.load(row_index + row, mask=there, other=0).to(tl.int64)
        inside = there & (source >= 0) & (source < x_rows)
    return source, inside
