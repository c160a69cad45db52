"""Block-sparse products on a GPU: the operators of `ops.py`, launched as Triton kernels.

What Triton cannot run (see `support`) goes to `reference.py`. float16 and bfloat16 are multiplied on tensor cores and
summed in float32; float32 is multiplied as such, or in TF32 where `torch.set_float32_matmul_precision` allows it. Tiles
are fixed by the sizes instead of tuned at run time, so that equal calls give equal bits and no first call is slow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from assay.sparse import reference
from assay.sparse.gpu.support import DTYPES, kernels, launch, line, near, power_of_two, precision, usable
from assay.sparse.operands import check_operands


def multiply(x: Tensor, values: Tensor, layout: Sequence[Tensor], out_features: int, bias: Tensor | None) -> Tensor:
    """`block_sparse_mm`: x [rows, in] times the matrix transposed, plus bias: [rows, out]."""
    if not usable(x):
        return reference.multiply(x, values, layout, out_features, bias)
    return _product(x, values, None, layout[:2], None, out_features, bias)


def multiply_int8(
    x: Tensor, values: Tensor, scales: Tensor, layout: Sequence[Tensor], out_features: int, bias: Tensor | None
) -> Tensor:
    """`block_sparse_mm_int8`: values are int8, and output o is scaled by scales[o]."""
    if not usable(x):
        return reference.multiply_int8(x, values, scales, layout, out_features, bias)
    return _product(x, values, scales, layout[:2], None, out_features, bias)


def multiply_transposed(g: Tensor, values: Tensor, layout: Sequence[Tensor], in_features: int) -> Tensor:
    """`block_sparse_mm_transposed`: g [rows, out] times the matrix: [rows, in]. Values are read where they lie."""
    if not usable(g):
        return reference.multiply_transposed(g, values, layout, in_features)
    return _product(g, values.transpose(1, 2), None, layout[2:4], layout[4], in_features, None)


def sampled(x: Tensor, g: Tensor, layout: Sequence[Tensor], block: int) -> Tensor:
    """`block_sparse_sampled`: g [rows, out] transposed times x [rows, in] at the kept blocks."""
    if not usable(x):
        return reference.sampled(x, g, layout, block)
    x, g = near(x), near(g)
    out = x.new_empty(layout[1].numel(), block, block).transpose(-1, -2)
    width = max(block, _WIDE if x.element_size() == 2 and block > 16 else _NARROW)
    tiles = -(-x.shape[1] // width)
    launch(
        kernels("block_kernels").sampled, (layout[0].numel() - 1) * tiles if out.numel() else 0, x,
        x, g, out, layout[0], layout[1], x.shape[0], x.shape[1], g.shape[1], tiles,
        *x.stride(), *g.stride(), *out.stride(),
        BLOCK=block, ROWS=line(x), WIDTH=width, PRECISION=precision(x), **_SCHEDULE,
    )  # fmt: skip
    return out


def transposed(values: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
    """`block_transpose`: the blocks in another order, each transposed."""
    if not usable(values):
        return reference.transposed(values, order, inverse)
    block = values.shape[-1]
    out = values.new_empty(order.numel(), block, block).transpose(-1, -2)
    warps = power_of_two(block * block // 256, 1, 4)
    launch(
        kernels("block_kernels").transpose, order.numel(), values,
        values, order, out, *values.stride(), *out.stride(), BLOCK=block, num_warps=warps,
    )  # fmt: skip
    return out


_WIDE, _NARROW = 128, 64
_SCHEDULE: dict[str, Any] = {"num_warps": 4, "num_stages": 3}
"""The largest tiles in flight take 72 KiB of shared memory, as compiled for sm_90: two programs on an A100's processor,
three on an H100's, and one on the GPUs that have 99 KiB."""


def _product(
    x: Tensor, values: Tensor, scales: Tensor | None, layout: Sequence[Tensor], order: Tensor | None,
    out_features: int, bias: Tensor | None,
) -> Tensor:  # fmt: skip
    check_operands(x, values, scales, layout, out_features, bias, DTYPES)
    x = near(x)
    y = x.new_empty(x.shape[0], out_features)
    block, block_rows = values.shape[-1], layout[0].numel() - 1
    rows = power_of_two(x.shape[0], 16, _WIDE if x.element_size() == 2 else _NARROW)
    inner = line(x)
    launch(
        kernels("block_kernels").multiply, -(-x.shape[0] // rows) * block_rows, x,
        x, values, _flat(scales), _flat(bias), y, layout[0], layout[1], order, x.shape[0], x.shape[1], out_features,
        block_rows, *x.stride(), *values.stride(), y.stride(0),
        BLOCK=block, ROWS=rows, INNER=inner, RUN=min(block, inner), PRECISION=precision(x), **_SCHEDULE,
    )  # fmt: skip
    return y


def _flat(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()
