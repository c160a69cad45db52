"""Grouped products as PyTorch operators: `gathered_mm`, a product by groups of rows, and `grouped_outer`.

Two operators are closed under differentiation: the product of every group's rows with the group's own matrix, and the
product of every group's rows, transposed, with other rows of it (the matrices' gradient). Both may read x's rows
through an index, so that a mixture's tokens are gathered while they are packed. On a CPU they run the kernels beside
this file, elsewhere `reference.py`.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor

from assay.errors import InputError
from assay.sparse import reference
from assay.sparse.library import Grouped, check, kernels

KINDS = {torch.float32: 0, torch.float64: 1}
"""Element types of the kernels, by their number in arguments.h."""
_BAD_ENDS, _BAD_INDEX = 3, 4

_LIBRARY: Any = torch.library.Library("assay", "FRAGMENT")  # type: ignore[no-untyped-call]
"""PyTorch has no types for it."""
_LIBRARY.define("gathered_mm(Tensor x, Tensor w, Tensor ends, Tensor? row_index=None, Tensor? bias=None) -> Tensor")
_LIBRARY.define("grouped_outer(Tensor x, Tensor g, Tensor ends, Tensor? row_index=None) -> Tensor")


def _rows(x: Tensor) -> Tensor:
    """x with every row's elements side by side."""
    return x if x.stride(1) == 1 or x.shape[1] <= 1 else x.contiguous()


def _pointer(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _numbers(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.to(torch.int64).contiguous()


def _raise_for(status: int, x: Tensor, rows: int, ends: Tensor, row_index: Tensor | None) -> None:
    if status == _BAD_ENDS:
        raise InputError(
            "the offsets are not the ends of groups",
            value=str(ends.tolist()),
            rule=f"they do not decrease, from 0 or more to at most {rows} rows",
            next_step="take them from torch.cumsum of the groups' row counts",
        )
    if status == _BAD_INDEX:
        assert row_index is not None
        raise InputError(
            "the row index points outside of x",
            value=f"{int(row_index.min())} to {int(row_index.max())}",
            rule=f"0 to {x.shape[0] - 1}",
            next_step="index the rows of x that is passed, before any gathering",
        )
    check(status, "grouped")


def _mm_cpu(x: Tensor, w: Tensor, ends: Tensor, row_index: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    x, ends_, index = _rows(x), _numbers(ends), _numbers(row_index)
    bias = None if bias is None else _rows(bias)
    y = x.new_empty(x.shape[0] if index is None else index.numel(), w.shape[2])
    arguments = Grouped(
        w.shape[0], x.shape[0], y.shape[0], w.shape[1], w.shape[2], _pointer(ends_), _pointer(index), x.stride(0),
        y.stride(0), _pointer(x), _pointer(y), _pointer(w), *w.stride(), _pointer(bias),
        0 if bias is None else bias.stride(0), KINDS[x.dtype], torch.get_num_threads(),
    )  # fmt: skip
    _raise_for(kernels().assay_grouped_multiply(ctypes.byref(arguments)), x, y.shape[0], ends, row_index)
    return y


def _outer_cpu(x: Tensor, g: Tensor, ends: Tensor, row_index: Tensor | None = None) -> Tensor:
    x, g, ends_, index = _rows(x), _rows(g), _numbers(ends), _numbers(row_index)
    w = x.new_empty(ends.numel(), x.shape[1], g.shape[1])
    arguments = Grouped(
        w.shape[0], x.shape[0], g.shape[0], w.shape[1], w.shape[2], _pointer(ends_), _pointer(index), x.stride(0),
        g.stride(0), _pointer(x), _pointer(g), _pointer(w), *w.stride(), None, 0, KINDS[x.dtype],
        torch.get_num_threads(),
    )  # fmt: skip
    _raise_for(kernels().assay_grouped_outer(ctypes.byref(arguments)), x, g.shape[0], ends, row_index)
    return w


def _mm_fake(x: Tensor, w: Tensor, ends: Tensor, row_index: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    del ends, bias
    return x.new_empty(x.shape[0] if row_index is None else row_index.shape[0], w.shape[2])


def _outer_fake(x: Tensor, g: Tensor, ends: Tensor, row_index: Tensor | None = None) -> Tensor:
    del row_index
    return x.new_empty(ends.shape[0], x.shape[1], g.shape[1])


def _scattered(rows: Tensor, like: Tensor, row_index: Tensor | None) -> Tensor:
    """Each row added to the row of x that it was read from."""
    if row_index is None:
        return rows
    return torch.zeros_like(like, memory_format=torch.contiguous_format).index_add(0, row_index, rows)


def outer_like(x: Tensor, g: Tensor, ends: Tensor, row_index: Tensor | None, w: Tensor) -> Tensor:
    """`grouped_outer` in the order of w's memory, so that a weight and its gradient are laid out alike."""
    if w.stride(1) == 1 and w.stride(2) != 1:
        gathered = x if row_index is None else x.index_select(0, row_index)
        turned: Tensor = torch.ops.assay.grouped_outer(g, gathered, ends, None)
        return turned.transpose(1, 2)
    found: Tensor = torch.ops.assay.grouped_outer(x, g, ends, row_index)
    return found


def _mm_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, w, ends, row_index, bias = inputs
    ctx.save_for_backward(x, w, ends, row_index)
    ctx.has_bias = bias is not None


def _mm_backward(ctx: Any, slope: Tensor) -> tuple[Any, ...]:
    x, w, ends, row_index = ctx.saved_tensors
    ops = torch.ops.assay
    dx = dw = dbias = None
    if ctx.needs_input_grad[0]:
        dx = _scattered(ops.gathered_mm(slope, w.transpose(1, 2), ends, None, None), x, row_index)
    if ctx.needs_input_grad[1]:
        dw = outer_like(x, slope, ends, row_index, w)
    if ctx.has_bias and ctx.needs_input_grad[4]:
        dbias = ops.grouped_outer(slope.new_ones(slope.shape[0], 1), slope, ends, None).squeeze(1)
    return dx, dw, None, None, dbias


def _outer_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _outer_backward(ctx: Any, slope: Tensor) -> tuple[Any, ...]:
    x, g, ends, row_index = ctx.saved_tensors
    ops = torch.ops.assay
    dx = dg = None
    if ctx.needs_input_grad[0]:
        dx = _scattered(ops.gathered_mm(g, slope.transpose(1, 2), ends, None, None), x, row_index)
    if ctx.needs_input_grad[1]:
        dg = ops.gathered_mm(x, slope, ends, row_index, None)
    return dx, dg, None, None


_OPERATORS = (
    ("gathered_mm", _mm_cpu, reference.grouped, _mm_fake, _mm_setup, _mm_backward),
    ("grouped_outer", _outer_cpu, reference.grouped_outer, _outer_fake, _outer_setup, _outer_backward),
)
for _name, _native, _plain, _fake, _setup, _backward in _OPERATORS:
    _LIBRARY.impl(_name, _native, "CPU")
    _LIBRARY.impl(_name, _plain, "CUDA")
    torch.library.register_fake(f"assay::{_name}", _fake, lib=_LIBRARY)
    torch.library.register_autograd(f"assay::{_name}", _backward, setup_context=_setup, lib=_LIBRARY)
