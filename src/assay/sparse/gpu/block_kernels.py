"""Triton kernels of block-sparse products; `blocks.py` launches them. Importing this imports Triton.

The blocks of a block row are seen as one axis of positions, block after block. A program computes a tile: some rows by
one block row (`multiply`, which sums over positions) or some positions of one block row (`sampled`, which sums over
rows). So blocks of 8 and 16 fill a tensor core's dimensions together, and one of 64 is summed in parts. Where features
are not divisible by the block, what lies outside is read as zero and not written.
"""

from __future__ import annotations

import triton
import triton.language as tl

NEIGHBOURS = tl.constexpr(8)
"""Tiles of rows that are computed together, so that both their rows and the blocks are read again from L2: 1024 rows of
4096 half-precision inputs are 8 MB, of an A100's 40 MB and an H100's 50 MB."""


@triton.jit
def multiply(
    x, values, scales, bias, y, row_starts, columns, order, rows, in_features, out_features, block_rows,
    x_row, x_column, v_block, v_out, v_in, y_row,
    BLOCK: tl.constexpr, ROWS: tl.constexpr, INNER: tl.constexpr, RUN: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """y [rows, out] = x [rows, in] times the matrix transposed (times scales [out]), plus bias [out].

    With `order`, the layout's block j is block order[j] of the values. RUN is the smaller of BLOCK and INNER.
    """
    row_tile, block_row = _tile(rows, block_rows, ROWS)
    row = row_tile * ROWS + tl.arange(0, ROWS)
    side = tl.arange(0, BLOCK)
    output = block_row * BLOCK + side
    end = tl.load(row_starts + block_row + 1).to(tl.int32) * BLOCK
    left = x + row.to(tl.int64)[:, None] * x_row
    right = values + side[None, :] * v_out
    total = tl.full((ROWS, BLOCK), 0, tl.float32)
    for start in range(tl.load(row_starts + block_row).to(tl.int32) * BLOCK, end, INNER):
        position = start + tl.arange(0, INNER)
        inputs, kept = _inputs(columns, position, end, in_features, BLOCK, RUN)
        number = (position // BLOCK).to(tl.int64)
        if order is not None:
            number = tl.load(order + number, mask=kept, other=0)
        a = tl.load(left + inputs[None, :] * x_column, mask=(row < rows)[:, None] & kept[None, :], other=0)
        b = tl.load(right + (number * v_block + position % BLOCK * v_in)[:, None], mask=kept[:, None], other=0)
        total = tl.dot(a, b.to(a.dtype), total, input_precision=PRECISION)
    if scales is not None:
        total *= tl.load(scales + output, mask=output < out_features, other=0).to(tl.float32)[None, :]
    if bias is not None:
        total += tl.load(bias + output, mask=output < out_features, other=0).to(tl.float32)[None, :]
    place = y + row.to(tl.int64)[:, None] * y_row + output[None, :]
    tl.store(place, total.to(y.dtype.element_ty), mask=(row < rows)[:, None] & (output < out_features)[None, :])


@triton.jit
def sampled(
    x, g, out, row_starts, columns, rows, in_features, out_features, tiles,
    x_row, x_column, g_row, g_column, o_block, o_out, o_in,
    BLOCK: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """out [blocks, block, block] = g [rows, out] transposed times x [rows, in], at the kept blocks.

    Program p takes the (p % tiles)-th WIDTH positions, whole blocks, of block row p // tiles: as many programs as a
    full row needs, since how many blocks a row keeps is known to the device only. Those beyond its end do nothing.
    """
    block_row = tl.program_id(0) // tiles
    end = tl.load(row_starts + block_row + 1).to(tl.int32) * BLOCK
    start = tl.load(row_starts + block_row).to(tl.int32) * BLOCK + (tl.program_id(0) % tiles) * WIDTH
    if start < end:
        position = start + tl.arange(0, WIDTH)
        inputs, kept = _inputs(columns, position, end, in_features, BLOCK, BLOCK)
        side = tl.arange(0, BLOCK)
        output = block_row * BLOCK + side
        left, right = x + inputs[:, None] * x_column, g + output[None, :] * g_column
        total = tl.full((WIDTH, BLOCK), 0, tl.float32)
        for before in range(0, rows, ROWS):
            row = (before + tl.arange(0, ROWS)).to(tl.int64)
            there = row < rows
            a = tl.load(left + row[None, :] * x_row, mask=kept[:, None] & there[None, :], other=0)
            b = tl.load(right + row[:, None] * g_row, mask=there[:, None] & (output < out_features)[None, :], other=0)
            total = tl.dot(a, b, total, input_precision=PRECISION)
        number = (position // BLOCK).to(tl.int64)
        place = out + (number * o_block + position % BLOCK * o_in)[:, None] + side[None, :] * o_out
        tl.store(place, total.to(out.dtype.element_ty), mask=(position < end)[:, None])


@triton.jit
def transpose(values, order, out, v_block, v_out, v_in, o_block, o_out, o_in, BLOCK: tl.constexpr):
    """out [j, a, b] = values [order[j], b, a]."""
    side = tl.arange(0, BLOCK)
    target = tl.program_id(0).to(tl.int64)
    source = tl.load(order + target).to(tl.int64)
    found = tl.load(values + source * v_block + side[:, None] * v_out + side[None, :] * v_in)
    tl.store(out + target * o_block + side[:, None] * o_in + side[None, :] * o_out, found)


@triton.jit
def _tile(rows, block_rows, ROWS: tl.constexpr):
    """The tile of rows and the block row of this program: all block rows for `NEIGHBOURS` tiles of rows, then on."""
    tiles = (rows + ROWS - 1) // ROWS
    band = tl.program_id(0) // (NEIGHBOURS * block_rows)
    within = tl.program_id(0) % (NEIGHBOURS * block_rows)
    height = tl.minimum(NEIGHBOURS, tiles - band * NEIGHBOURS)
    return band * NEIGHBOURS + within % height, within // height


@triton.jit
def _inputs(columns, position, end, in_features, BLOCK: tl.constexpr, RUN: tl.constexpr):
    """The input at each position and whether there is one.

    The compiler is told that runs of inputs lie side by side, which it cannot see behind the indices: it then copies 16
    bytes at once instead of single elements.
    """
    there = position < end
    inputs = tl.load(columns + position // BLOCK, mask=there, other=0).to(tl.int32) * BLOCK + position % BLOCK
    inputs = tl.max_contiguous(tl.multiple_of(inputs, RUN), RUN)
    return inputs, there & (inputs < in_features)
