"""The block-sparse products as PyTorch operators: `torch.ops.assay.block_sparse_mm` and what its backward needs.

Three operators are closed under differentiation, so that any order of derivative exists: the product
(`block_sparse_mm`), the product with the transposed matrix (`block_sparse_mm_transposed`: the gradient of x) and the
product sampled at the kept blocks (`block_sparse_sampled`: the gradient of values). `block_transpose` transposes the
blocks alone. Each has a fake, so torch.compile keeps one graph. On a CPU they run the kernels beside this file, on
NVIDIA's GPUs those of `gpu`, and `reference.py` elsewhere.

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

from assay.sparse.gpu import blocks
from assay.sparse.layout import turn
from assay.sparse.library import Gradient, Multiply, check, kernels
from assay.sparse.operands import check_operands
from assay.sparse.operators import KINDS, pointer, register, side_by_side

_INT8_KIND = 2


def packed(values: Tensor) -> Tensor:
    """The same values with each block's inputs outermost in memory; no copy where they are already."""
    return values.transpose(-1, -2).contiguous().transpose(-1, -2)


def _multiply(
    x: Tensor, values: Tensor, scales: Tensor | None, layout: Sequence[Tensor], out_features: int, bias: Tensor | None
) -> Tensor:
    check_operands(x, values, scales, layout, out_features, bias, KINDS)
    x, values = side_by_side(x), packed(values)
    bias = None if bias is None else bias.contiguous()
    y = x.new_empty(x.shape[0], out_features)
    kind = _INT8_KIND if scales is not None else KINDS[x.dtype]
    arguments = Multiply(
        x.shape[0], x.shape[1], out_features, x.stride(0), y.stride(0), pointer(x), pointer(y), pointer(layout[0]),
        pointer(layout[1]), pointer(values), pointer(scales), pointer(bias), values.shape[-1], kind,
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
    x, g = side_by_side(x), side_by_side(g)
    out = x.new_empty(layout[1].numel(), block, block).transpose(-1, -2)
    arguments = Gradient(
        x.shape[0], x.shape[1], g.shape[1], x.stride(0), g.stride(0), pointer(x), pointer(g), pointer(layout[0]),
        pointer(layout[1]), pointer(out), block, KINDS[x.dtype], torch.get_num_threads(),
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


def _mm_transposed_cpu(g: Tensor, values: Tensor, layout: Sequence[Tensor], in_features: int) -> Tensor:
    return multiply_cpu(g, _transpose_cpu(values, layout[4], layout[5]), turn(layout), in_features, None)


def _mm_fake(x: Tensor, values: Tensor, layout: Sequence[Tensor], out_features: int, bias: Tensor | None) -> Tensor:
    del values, layout, bias
    return x.new_empty(x.shape[0], out_features)


def _mm_transposed_fake(g: Tensor, values: Tensor, layout: Sequence[Tensor], in_features: int) -> Tensor:
    del values, layout
    return g.new_empty(g.shape[0], in_features)


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
        dx = ops.block_sparse_mm_transposed(g, values, layout, x.shape[1])
    if needs_values:
        dvalues = ops.block_sparse_sampled(x, g, layout, values.shape[-1])
    return dx, dvalues, [None] * len(layout), None, g.sum(0) if ctx.has_bias else None


def _mm_transposed_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    g, values, layout, _ = inputs
    ctx.save_for_backward(g, values, *layout)


def _mm_transposed_backward(ctx: Any, slope: Tensor) -> tuple[Any, ...]:
    g, values, *layout = ctx.saved_tensors
    ops = torch.ops.assay
    dg = dvalues = None
    if ctx.needs_input_grad[0]:
        dg = ops.block_sparse_mm(slope, values, layout, g.shape[1], None)
    if ctx.needs_input_grad[1]:
        dvalues = ops.block_sparse_sampled(slope, g, layout, values.shape[-1])
    return dg, dvalues, [None] * len(layout), None


def _sampled_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, g, layout, _ = inputs
    ctx.save_for_backward(x, g, *layout)


def _sampled_backward(ctx: Any, slope: Tensor) -> tuple[Any, ...]:
    x, g, *layout = ctx.saved_tensors
    ops = torch.ops.assay
    dx = ops.block_sparse_mm_transposed(g, slope, layout, x.shape[1])
    return dx, ops.block_sparse_mm(x, slope, layout, g.shape[1], None), [None] * len(layout), None


def _transpose_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[1:])


def _transpose_backward(ctx: Any, slope: Tensor) -> tuple[Any, ...]:
    order, inverse = ctx.saved_tensors
    return torch.ops.assay.block_transpose(slope, inverse, order), None, None


block_sparse_mm = register(
    "block_sparse_mm(Tensor x, Tensor values, Tensor[] layout, SymInt out_features, Tensor? bias) -> Tensor",
    multiply_cpu, blocks.multiply, _mm_fake, _mm_setup, _mm_backward,
)  # fmt: skip
register(
    "block_sparse_mm_transposed(Tensor g, Tensor values, Tensor[] layout, SymInt in_features) -> Tensor",
    _mm_transposed_cpu, blocks.multiply_transposed, _mm_transposed_fake, _mm_transposed_setup, _mm_transposed_backward,
)  # fmt: skip
register(
    "block_sparse_sampled(Tensor x, Tensor g, Tensor[] layout, int block) -> Tensor",
    _sampled_cpu, blocks.sampled, _sampled_fake, _sampled_setup, _sampled_backward,
)  # fmt: skip
register(
    "block_transpose(Tensor values, Tensor order, Tensor inverse) -> Tensor",
    _transpose_cpu, blocks.transposed, _transpose_fake, _transpose_setup, _transpose_backward,
)  # fmt: skip
register(
    "block_sparse_mm_int8(Tensor x, Tensor values, Tensor scales, Tensor[] layout, int out_features, "
    "Tensor? bias) -> Tensor",
    _mm_int8_cpu, blocks.multiply_int8, _mm_int8_fake,
)  # fmt: skip
