"""Unstructured sparse products as PyTorch operators, closed under differentiation.

`unstructured_mm` is the product; `unstructured_dense` makes the dense matrix of values, `unstructured_sampled` takes
the values out of one, and each of these two is the other's derivative. A backward pass goes through the dense matrix:
dX = g W and dW = (g' x) sampled at the mask cost what they cost in a dense layer.

A layout is [mask, row_starts] (see bits.py) or [mask, row_starts, column numbers]. On a CPU the product reads the mask
for up to `MASK_ROWS` rows of x and column numbers, where there are any, for any number; otherwise it makes the dense
matrix. float32 and float64 there. Elsewhere everything is plain PyTorch through the dense matrix.

Not stored zeros meet infinities and NaN in x as zeros or not at all, as is faster: of outputs that no stored value
ties to them, some become NaN as in a dense product and some do not.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from assay.errors import InputError
from assay.sparse.bits import unpack_bits, words_in
from assay.sparse.library import check, kernels
from assay.sparse.operators import KINDS, MISMATCH, check_types, pointer, register, side_by_side

MASK_ROWS = 64
"""Rows of x up to which walking the mask, eight rows at a time, beats a dense product with the making of its matrix:
4096 x 4096 on Zen 4 at 64 rows and 50 % zeros takes 43 ms either way, at 80 % 29 and 43 ms."""

_number, _pointer, _int = ctypes.c_int64, ctypes.c_void_p, ctypes.c_int32


class Masked(ctypes.Structure):
    """`AssayMasked` of masked.h."""

    _fields_ = (
        ("rows", _number), ("in_features", _number), ("out_features", _number), ("kept", _number),
        ("x_stride", _number), ("y_stride", _number), ("x", _pointer), ("y", _pointer), ("mask", _pointer),
        ("row_starts", _pointer), ("columns", _pointer), ("values", _pointer), ("bias", _pointer),
        ("kind", _int), ("threads", _int),
    )  # fmt: skip


def _run(
    name: str, x: Tensor | None, y: Tensor, values: Tensor, layout: Sequence[Tensor], bias: Tensor | None
) -> Tensor:
    """Calls a kernel, after what would make it read wrong memory or the wrong type has raised InputError."""
    mask, starts = layout[0], layout[1]
    in_features = y.shape[1] if x is None else x.shape[1]
    check_types(y.dtype, values, bias)
    arguments = Masked(
        0 if x is None else x.shape[0], in_features, mask.shape[0], values.shape[0],
        0 if x is None else x.stride(0), y.stride(0), pointer(x), y.data_ptr(),
        mask.data_ptr(), starts.data_ptr(), layout[2].data_ptr() if len(layout) == 3 else None, values.data_ptr(),
        pointer(bias), KINDS[values.dtype], torch.get_num_threads(),
    )  # fmt: skip
    fits = mask.shape[1] == words_in(in_features) and starts.shape[0] == mask.shape[0] + 1
    status = getattr(kernels(), name)(ctypes.byref(arguments)) if fits else MISMATCH
    if status == MISMATCH:
        raise InputError(
            "x, values and mask do not belong together",
            value=f"{in_features} features, {values.shape[0]} values, mask of {tuple(mask.shape)}",
            rule=f"{mask.shape[1]} words of 64 columns, one value for each of {int(starts[-1])} bits",
            next_step="take values and layout from one SparseLinear, and x with its in_features",
        )
    check(status, "unstructured sparse")
    return y


def _mm_cpu(x: Tensor, values: Tensor, layout: Sequence[Tensor], bias: Tensor | None) -> Tensor:
    if x.shape[0] > MASK_ROWS and len(layout) == 2:
        return functional.linear(x, _dense_cpu(values, layout, x.shape[1]), bias)
    x = side_by_side(x)
    y = x.new_empty(x.shape[0], layout[0].shape[0])
    bias = None if bias is None else bias.contiguous()
    return _run("assay_masked_multiply", x, y, values.contiguous(), layout, bias)


def _dense_cpu(values: Tensor, layout: Sequence[Tensor], in_features: int) -> Tensor:
    dense = values.new_zeros(layout[0].shape[0], in_features)
    return _run("assay_masked_dense", None, dense, values.contiguous(), layout, None)


def _sampled_cpu(dense: Tensor, layout: Sequence[Tensor], kept: int) -> Tensor:
    values = dense.new_empty(kept)
    _run("assay_masked_sample", None, dense.contiguous(), values, layout, None)
    return values


def _dense_plain(values: Tensor, layout: Sequence[Tensor], in_features: int) -> Tensor:
    dense = values.new_zeros(layout[0].shape[0], in_features)
    return dense.masked_scatter_(unpack_bits(layout[0], in_features), values)


def _mm_plain(x: Tensor, values: Tensor, layout: Sequence[Tensor], bias: Tensor | None) -> Tensor:
    return functional.linear(x, _dense_plain(values, layout, x.shape[1]), bias)


def _sampled_plain(dense: Tensor, layout: Sequence[Tensor], kept: int) -> Tensor:
    del kept
    return dense[unpack_bits(layout[0], dense.shape[1])]


def _mm_fake(x: Tensor, values: Tensor, layout: Sequence[Tensor], bias: Tensor | None) -> Tensor:
    del values, bias
    return x.new_empty(x.shape[0], layout[0].shape[0])


def _dense_fake(values: Tensor, layout: Sequence[Tensor], in_features: int) -> Tensor:
    return values.new_empty(layout[0].shape[0], in_features)


def _sampled_fake(dense: Tensor, layout: Sequence[Tensor], kept: int) -> Tensor:
    del layout
    return dense.new_empty(kept)


def _mm_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, values, layout, bias = inputs
    ctx.save_for_backward(x, values, *layout)
    ctx.has_bias = bias is not None


def _mm_backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
    x, values, *layout = ctx.saved_tensors
    needs_x, needs_values = ctx.needs_input_grad[0], ctx.needs_input_grad[1]
    ops = torch.ops.assay
    dx = g @ ops.unstructured_dense(values, layout, x.shape[1]) if needs_x else None
    dvalues = ops.unstructured_sampled(g.T @ x, layout, values.shape[0]) if needs_values else None
    return dx, dvalues, [None] * len(layout), g.sum(0) if ctx.has_bias else None


def _layout_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[1])
    ctx.size = inputs[0].shape[-1]


def _dense_backward(ctx: Any, slope: Tensor) -> tuple[Any, ...]:
    layout = list(ctx.saved_tensors)
    return torch.ops.assay.unstructured_sampled(slope, layout, ctx.size), [None] * len(layout), None


def _sampled_backward(ctx: Any, slope: Tensor) -> tuple[Any, ...]:
    layout = list(ctx.saved_tensors)
    return torch.ops.assay.unstructured_dense(slope, layout, ctx.size), [None] * len(layout), None


unstructured_mm = register(
    "unstructured_mm(Tensor x, Tensor values, Tensor[] layout, Tensor? bias) -> Tensor",
    _mm_cpu, _mm_plain, _mm_fake, _mm_setup, _mm_backward,
)  # fmt: skip
register(
    "unstructured_dense(Tensor values, Tensor[] layout, SymInt in_features) -> Tensor",
    _dense_cpu, _dense_plain, _dense_fake, _layout_setup, _dense_backward,
)  # fmt: skip
register(
    "unstructured_sampled(Tensor dense, Tensor[] layout, SymInt kept) -> Tensor",
    _sampled_cpu, _sampled_plain, _sampled_fake, _layout_setup, _sampled_backward,
)  # fmt: skip
