"""The block-sparse products as PyTorch operators: `torch.ops.assay.block_sparse_mm` and what its backward needs.

Three operators are closed under differentiation, so that any order of derivative exists: the product
(`block_sparse_mm`), the product sampled at the kept blocks (`block_sparse_sampled`: the gradient of values) and the
transposition of blocks (`block_transpose`). Each has a fake, so torch.compile keeps one graph. On a CPU they run the
kernels beside this file; elsewhere `reference.py`, until that device has kernels of its own.

Values are [blocks, block, block] in PyTorch's BSR order, output row before input column. In memory the kernels want a
block's inputs outermost: `packed` makes such a tensor, whose shape stays and whose strides are swapped. Others are
copied on every call.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from assay.sparse import reference
from assay.sparse.layout import turn
from assay.sparse.library import Gradient, Multiply, check, kernels

KINDS = {torch.float32: 0, torch.float64: 1}
"""Element types of the kernels, by their number in arguments.h."""
_INT8_KIND = 2

_LIBRARY: Any = torch.library.Library("assay", "FRAGMENT")  # type: ignore[no-untyped-call]
"""PyTorch has no types for it."""
_LIBRARY.define(
    "block_sparse_mm(Tensor x, Tensor values, Tensor[] layout, SymInt out_features, Tensor? bias) -> Tensor"
)
_LIBRARY.define("block_sparse_sampled(Tensor x, Tensor g, Tensor[] layout, int block) -> Tensor")
_LIBRARY.define("block_transpose(Tensor values, Tensor order, Tensor inverse) -> Tensor")
_LIBRARY.define(
    "block_sparse_mm_int8(Tensor x, Tensor values, Tensor scales, Tensor[] layout, int out_features, "
    "Tensor? bias) -> Tensor"
)


def packed(values: Tensor) -> Tensor:
    """The same values with each block's inputs outermost in memory; no copy where they are already."""
    return values.transpose(-1, -2).contiguous().transpose(-1, -2)


def _rows(x: Tensor) -> Tensor:
    """x with every row's elements side by side."""
    return x if x.stride(1) == 1 or x.shape[1] <= 1 else x.contiguous()


def _pointer(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _multiply(
    x: Tensor, values: Tensor, scales: Tensor | None, layout: Sequence[Tensor], out_features: int, bias: Tensor | None
) -> Tensor:
    x, values = _rows(x), packed(values)
    bias = None if bias is None else bias.contiguous()
    y = x.new_empty(x.shape[0], out_features)
    kind = _INT8_KIND if scales is not None else KINDS[x.dtype]
    arguments = Multiply(
        x.shape[0], x.shape[1], out_features, x.stride(0), y.stride(0), _pointer(x), _pointer(y), _pointer(layout[0]),
        _pointer(layout[1]), _pointer(values), _pointer(scales), _pointer(bias), values.shape[-1], kind,
        torch.get_num_threads(),
    )  # fmt: skip
    check(kernels().assay_block_multiply(ctypes.byref(arguments)), "block-sparse")
    return y


def multiply_cpu(x: Tensor, values: Tensor, layout: Sequence[Tensor], out_features: int, bias: Tensor | None) -> Tensor:
    """`block_sparse_mm` of plain CPU tensors without a gradient, past the dispatcher, whose Python part costs 15 us."""
    return _multiply(x, values, None, layout, out_features, bias)


def _mm_int8_cpu(
    x: Tensor, values: Tensor, scales: Tensor, layout: Sequence[Tensor], out_features: int, bias: Tensor | None
) -> Tensor:
    return _multiply(x, values, scales.contiguous(), layout, out_features, bias)


def _sampled_cpu(x: Tensor, g: Tensor, layout: Sequence[Tensor], block: int) -> Tensor:
    x, g = _rows(x), _rows(g)
    out = x.new_empty(layout[1].numel(), block, block).transpose(-1, -2)
    arguments = Gradient(
        x.shape[0], x.shape[1], g.shape[1], x.stride(0), g.stride(0), _pointer(x), _pointer(g), _pointer(layout[0]),
        _pointer(layout[1]), _pointer(out), block, KINDS[x.dtype], torch.get_num_threads(),
    )  # fmt: skip
    check(kernels().assay_block_gradient(ctypes.byref(arguments)), "sampled")
    return out


def _transpose_cpu(values: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
    del inverse
    values = packed(values)
    count, block = order.numel(), values.shape[-1]
    # The kernel swaps a block's memory, and the result's rows are the old columns: both read as [in][out] again.
    out = values.new_empty(count, block, block).transpose(-1, -2)
    status = kernels().assay_block_transpose(
        values.data_ptr(), order.data_ptr(), out.data_ptr(), count, block, KINDS[values.dtype]
    )
    check(status, "transposition")
    return out


def _mm_fake(x: Tensor, values: Tensor, layout: Sequence[Tensor], out_features: int, bias: Tensor | None) -> Tensor:
    del values, layout, bias
    return x.new_empty(x.shape[0], out_features)


def _mm_int8_fake(
    x: Tensor, values: Tensor, scales: Tensor, layout: Sequence[Tensor], out_features: int, bias: Tensor | None
) -> Tensor:
    del values, scales, layout, bias
    return x.new_empty(x.shape[0], out_features)


def _sampled_fake(x: Tensor, g: Tensor, layout: Sequence[Tensor], block: int) -> Tensor:
    del g
    return x.new_empty(layout[1].numel(), block, block).transpose(-1, -2)


def _transpose_fake(values: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
    del inverse
    return values.new_empty(order.numel(), values.shape[2], values.shape[1]).transpose(-1, -2)


def _mm_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, values, layout, _, bias = inputs
    ctx.save_for_backward(x, values, *layout)
    ctx.has_bias = bias is not None


def _mm_backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
    x, values, *layout = ctx.saved_tensors
    ops = torch.ops.assay
    needs_x, needs_values = ctx.needs_input_grad[0], ctx.needs_input_grad[1]
    dx = dvalues = None
    if needs_x:
        flipped = ops.block_transpose(values, layout[4], layout[5])
        dx = ops.block_sparse_mm(g, flipped, list(turn(layout)), x.shape[1], None)
    if needs_values:
        dvalues = ops.block_sparse_sampled(x, g, layout, values.shape[-1])
    return dx, dvalues, [None] * len(layout), None, g.sum(0) if ctx.has_bias else None


def _sampled_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, g, layout, _ = inputs
    ctx.save_for_backward(x, g, *layout)


def _sampled_backward(ctx: Any, slope: Tensor) -> tuple[Any, ...]:
    x, g, *layout = ctx.saved_tensors
    ops = torch.ops.assay
    flipped = ops.block_transpose(slope, layout[4], layout[5])
    dx = ops.block_sparse_mm(g, flipped, list(turn(layout)), x.shape[1], None)
    return dx, ops.block_sparse_mm(x, slope, layout, g.shape[1], None), [None] * len(layout), None


def _transpose_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[1:])


def _transpose_backward(ctx: Any, slope: Tensor) -> tuple[Any, ...]:
    order, inverse = ctx.saved_tensors
    return torch.ops.assay.block_transpose(slope, inverse, order), None, None


_OPERATORS = (
    ("block_sparse_mm", multiply_cpu, reference.multiply, _mm_fake, _mm_setup, _mm_backward),
    ("block_sparse_sampled", _sampled_cpu, reference.sampled, _sampled_fake, _sampled_setup, _sampled_backward),
    ("block_transpose", _transpose_cpu, reference.transposed, _transpose_fake, _transpose_setup, _transpose_backward),
)
for _name, _native, _plain, _fake, _setup, _backward in _OPERATORS:
    _LIBRARY.impl(_name, _native, "CPU")
    _LIBRARY.impl(_name, _plain, "CUDA")
    torch.library.register_fake(f"assay::{_name}", _fake, lib=_LIBRARY)
    torch.library.register_autograd(f"assay::{_name}", _backward, setup_context=_setup, lib=_LIBRARY)
_LIBRARY.impl("block_sparse_mm_int8", _mm_int8_cpu, "CPU")
torch.library.register_fake("assay::block_sparse_mm_int8", _mm_int8_fake, lib=_LIBRARY)
