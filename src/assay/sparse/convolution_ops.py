"""Convolutions with unstructured sparse kernels as a PyTorch operator with a derivative.

The kernels of all channels are a matrix [out, in * kernel height * kernel width] in the layout of unstructured_ops.py.
On a CPU, with column numbers, in float32 and float64 and on images whose channels are side by side, every kept weight
adds a shifted plane (kernels/convolution.cpp), and a ReLU and a max pooling that follow are part of the call;
otherwise, and backward, the dense kernels are made for the call.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from assay.errors import InputError
from assay.sparse.bits import words_in
from assay.sparse.library import check, kernels
from assay.sparse.operators import KINDS, MISMATCH, check_types, pointer, register

_number, _pointer, _int = ctypes.c_int64, ctypes.c_void_p, ctypes.c_int32


class Convolution(ctypes.Structure):
    """`AssayConvolution` of convolution.cpp."""

    _fields_ = (
        ("images", _number), ("in_channels", _number), ("height", _number), ("width", _number),
        ("out_channels", _number), ("out_height", _number), ("out_width", _number), ("kept", _number),
        ("kernel_height", _number), ("kernel_width", _number), ("stride", _number), ("top", _number),
        ("left", _number), ("dilation", _number), ("pool", _number), ("x", _pointer), ("y", _pointer),
        ("row_starts", _pointer), ("columns", _pointer), ("values", _pointer), ("bias", _pointer), ("kind", _int),
        ("relu", _int), ("threads", _int),
    )  # fmt: skip


def out_sizes(
    sizes: Sequence[int], kernel: Sequence[int], stride: int, padding: Sequence[int], dilation: int, pool: int = 1
) -> list[int]:
    """Height and width before pooling, from x's. Raises InputError where they are too small for one element of y."""
    found = [
        (size + 2 * border - dilation * (width - 1) - 1) // stride + 1
        for size, border, width in zip(sizes, padding, kernel, strict=True)
    ]
    if min(found) < pool:
        window = f", windows of {pool}" if pool > 1 else ""
        raise InputError(
            "the kernel is larger than the image", value=f"{tuple(kernel)} over {tuple(sizes)}{window}",
            rule="an image with its border holds one window of the kernel's places", next_step="give larger images",
        )  # fmt: skip
    return found


def _cpu(
    x: Tensor, values: Tensor, layout: Sequence[Tensor], bias: Tensor | None, kernel: Sequence[int], stride: int,
    padding: Sequence[int], dilation: int, relu: bool, pool: int,
) -> Tensor:  # fmt: skip
    check_types(x.dtype, values, bias)
    if len(layout) == 2:
        return _plain(x, values, layout, bias, kernel, stride, padding, dilation, relu, pool)
    x, values = x.contiguous(), values.contiguous()
    height, width = out_sizes(x.shape[-2:], kernel, stride, padding, dilation, pool)
    bias = None if bias is None else bias.contiguous()
    mask, starts, columns = layout
    y = x.new_empty(x.shape[0], starts.shape[0] - 1, height // pool, width // pool)
    arguments = Convolution(
        x.shape[0], x.shape[1], x.shape[2], x.shape[3], y.shape[1], height, width, values.shape[0], *kernel, stride,
        *padding, dilation, pool, x.data_ptr(), y.data_ptr(), starts.data_ptr(), columns.data_ptr(), values.data_ptr(),
        pointer(bias), KINDS[values.dtype], relu, torch.get_num_threads(),
    )  # fmt: skip
    fits = columns.shape[0] == values.shape[0] and mask.shape[1] == words_in(x.shape[1] * kernel[0] * kernel[1])
    status = kernels().assay_sparse_convolution(ctypes.byref(arguments)) if fits else MISMATCH
    if status == MISMATCH:
        raise InputError(
            "x, values and mask do not belong together", value=f"{x.shape[1]} channels, {values.shape[0]} values",
            rule=f"{mask.shape[1]} words of 64 columns, one value for each of {int(starts[-1])} bits",
            next_step="take values and layout from one SparseConv2d, and x with its in_channels",
        )  # fmt: skip
    check(status, "sparse convolution")
    return y


def _plain(
    x: Tensor, values: Tensor, layout: Sequence[Tensor], bias: Tensor | None, kernel: Sequence[int], stride: int,
    padding: Sequence[int], dilation: int, relu: bool, pool: int,
) -> Tensor:  # fmt: skip
    y = functional.conv2d(x, _dense(values, layout, x.shape[1], kernel), bias, stride, list(padding), dilation)
    y = functional.relu(y) if relu else y
    return functional.max_pool2d(y, pool) if pool > 1 else y


def _dense(values: Tensor, layout: Sequence[Tensor], channels: int, kernel: Sequence[int]) -> Tensor:
    columns = channels * kernel[0] * kernel[1]
    dense: Tensor = torch.ops.assay.unstructured_dense(values, list(layout), columns)
    return dense.view(-1, channels, kernel[0], kernel[1])


def _fake(
    x: Tensor, values: Tensor, layout: Sequence[Tensor], bias: Tensor | None, kernel: Sequence[int], stride: int,
    padding: Sequence[int], dilation: int, relu: bool, pool: int,
) -> Tensor:  # fmt: skip
    sizes = [size // pool for size in out_sizes(x.shape[-2:], kernel, stride, padding, dilation, pool)]
    return x.new_empty(x.shape[0], layout[0].shape[0], *sizes)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, values, layout, bias, *ctx.shape = inputs
    ctx.save_for_backward(x, values, bias, *layout)


def _backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
    x, values, bias, *layout = ctx.saved_tensors
    kernel, stride, padding, dilation, relu, pool = ctx.shape
    if relu or pool > 1:
        y = torch.ops.assay.sparse_conv2d(x, values, layout, bias, *ctx.shape[:4], False, 1)
        g = _before_pooling(g, y, relu, pool)
    weight = _dense(values, layout, x.shape[1], kernel)
    needs = [ctx.needs_input_grad[0], ctx.needs_input_grad[1], bias is not None]
    dx, dw, db = torch.ops.aten.convolution_backward(
        g, x, weight, [weight.shape[0]], [stride] * 2, list(padding), [dilation] * 2, False, [0, 0], 1, needs
    )
    dvalues = None
    if dw is not None:
        dvalues = torch.ops.assay.unstructured_sampled(dw.flatten(1), layout, values.shape[0])
    return dx, dvalues, [None] * len(layout), db, None, None, None, None, None, None


def _before_pooling(g: Tensor, y: Tensor, relu: bool, pool: int) -> Tensor:
    """The derivative by a convolution's own result y, computed again: it is not kept."""
    if pool > 1:
        window = [[pool, pool], [pool, pool], [0, 0], [1, 1], False]
        indices = torch.ops.aten.max_pool2d_with_indices(y.relu() if relu else y, *window)[1]
        g = torch.ops.aten.max_pool2d_with_indices_backward(g, y, *window, indices)
    return torch.where(y <= 0, 0, g) if relu else g


sparse_conv2d = register(
    "sparse_conv2d(Tensor x, Tensor values, Tensor[] layout, Tensor? bias, int[] kernel, int stride, int[] padding, "
    "int dilation, bool relu, int pool) -> Tensor",
    _cpu, _plain, _fake, _setup, _backward,
)  # fmt: skip
