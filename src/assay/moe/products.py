"""Products of rows grouped by expert with one matrix an expert: a loop over the experts, as operators.

The signature is that of `torch.nn.functional.grouped_mm`, without its limits: any stride, float64, and rows beyond the
last end are zero. The two operators are closed under differentiation and opaque to torch.compile, because how many rows
an expert gets is known at run time only.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


@torch.library.custom_op("assay::looped_mm", mutates_args=())
def _looped_mm(rows: Tensor, matrices: Tensor, ends: Tensor) -> Tensor:
    out = rows.new_zeros(rows.shape[0], matrices.shape[2])
    start = 0
    for matrix, end in zip(matrices.unbind(0), ends.tolist(), strict=True):
        if end > start:
            torch.mm(rows[start:end], matrix, out=out[start:end])
        start = end
    return out


@torch.library.custom_op("assay::looped_outer", mutates_args=())
def _looped_outer(rows: Tensor, slopes: Tensor, ends: Tensor) -> Tensor:
    out = rows.new_zeros(ends.shape[0], rows.shape[1], slopes.shape[1])
    start = 0
    for matrix, end in zip(out.unbind(0), ends.tolist(), strict=True):
        if end > start:
            torch.mm(rows[start:end].T, slopes[start:end], out=matrix)
        start = end
    return out


@_looped_mm.register_fake
def _(rows: Tensor, matrices: Tensor, ends: Tensor) -> Tensor:
    return rows.new_empty(rows.shape[0], matrices.shape[2])


@_looped_outer.register_fake
def _(rows: Tensor, slopes: Tensor, ends: Tensor) -> Tensor:
    return rows.new_empty(ends.shape[0], rows.shape[1], slopes.shape[1])


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _mm_backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
    rows, matrices, ends = ctx.saved_tensors
    needs_rows, needs_matrices, _ = ctx.needs_input_grad
    return (
        _looped_mm(g, matrices.transpose(1, 2), ends) if needs_rows else None,
        _looped_outer(rows, g, ends) if needs_matrices else None,
        None,
    )


def _outer_backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
    rows, slopes, ends = ctx.saved_tensors
    return _looped_mm(slopes, g.transpose(1, 2), ends), _looped_mm(rows, g, ends), None


_looped_mm.register_autograd(_mm_backward, setup_context=_keep)
_looped_outer.register_autograd(_outer_backward, setup_context=_keep)


def grouped_mm(mat_a: Tensor, mat_b: Tensor, *, offs: Tensor) -> Tensor:
    """mat_a [rows, K] in groups that end at `offs` [E] (int32), each times its matrix of mat_b [E, K, N]: [rows, N]."""
    out: Tensor = _looped_mm(mat_a, mat_b, offs)
    return out


def gathered_mm(x: Tensor, w: Tensor, ends: Tensor, row_index: Tensor) -> Tensor:
    """`grouped_mm` of the rows `row_index` [rows] of x [tokens, K] with w [E, K, N]: [rows, N]."""
    return grouped_mm(x[row_index], w, offs=ends)
