"""Grouped products as PyTorch operators: `gathered_mm`, `scattered_mm`, `grouped_outer`, and `group_rows`.

Three operators are closed under differentiation: the product of every group's rows with the group's own matrix, the
rows being read through an index; the same with the results added through an index; and the product of every group's
rows, transposed, with other rows of it (the matrices' gradient). A mixture's tokens are so gathered while they are
packed and its experts' results added while they are in registers' reach. On a CPU they run the kernels beside this
file, on NVIDIA's GPUs those of `gpu`, and `reference.py` elsewhere. Operands are of one dtype and checked by
`grouped.py`, offsets and indices here, on a CPU.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor

from assay.errors import InputError
from assay.sparse import reference
from assay.sparse.gpu import grouped as gpu
from assay.sparse.library import Grouped, check, kernels
from assay.sparse.operators import KINDS, pointer, register, side_by_side

_BAD_ENDS, _BAD_INDEX = 3, 4
"""Statuses of grouped.cpp."""


def _numbers(tensor: Tensor) -> Tensor:
    return tensor.to(torch.int64).contiguous()


def _raise_for(status: int, ends: Tensor, rows: int) -> None:
    if status == _BAD_ENDS:
        raise InputError(
            "the offsets are not the ends of groups",
            value=str(ends.tolist()),
            rule=f"they do not decrease, from 0 or more to at most {rows} rows",
            next_step="take them from torch.cumsum of the groups' row counts",
        )
    if status == _BAD_INDEX:
        raise InputError(
            "an index points outside of what it indexes",
            rule="every row of a group has an index of 0 or more and below the number of rows or groups indexed",
            next_step="index the rows as they were before gathering, and number groups from 0",
        )
    check(status, "grouped")


def _run(
    kernel: str,
    x: Tensor,
    w: Tensor,
    y: Tensor,
    rows: int,
    ends: Tensor,
    x_index: Tensor | None = None,
    y_index: Tensor | None = None,
    bias: Tensor | None = None,
    scales: Tensor | None = None,
) -> None:
    """Calls a kernel of grouped.cpp; tensors made here live until it returns."""
    ends = _numbers(ends)
    x_index, y_index = (None if index is None else _numbers(index) for index in (x_index, y_index))
    arguments = Grouped(
        w.shape[0], x.shape[0], y.shape[0], rows, w.shape[1], w.shape[2], pointer(ends), pointer(x_index),
        pointer(y_index), x.stride(0), y.stride(0), pointer(x), pointer(y), pointer(w), *w.stride(),
        pointer(bias), 0 if bias is None else bias.stride(0), pointer(scales), KINDS[x.dtype],
        torch.get_num_threads(),
    )  # fmt: skip
    _raise_for(getattr(kernels(), kernel)(ctypes.byref(arguments)), ends, rows)


def gathered_cpu(
    x: Tensor, w: Tensor, ends: Tensor, row_index: Tensor | None = None, bias: Tensor | None = None
) -> Tensor:
    """The operator `gathered_mm` of plain CPU tensors."""
    x, bias = side_by_side(x), None if bias is None else side_by_side(bias)
    y = x.new_empty(x.shape[0] if row_index is None else row_index.numel(), w.shape[2])
    _run("assay_grouped_multiply", x, w, y, y.shape[0], ends, row_index, bias=bias)
    return y


def scattered_cpu(
    x: Tensor, w: Tensor, ends: Tensor, row_index: Tensor, rows: int, scales: Tensor | None = None
) -> Tensor:
    """The operator `scattered_mm` of plain CPU tensors."""
    x, scales = side_by_side(x), None if scales is None else scales.contiguous()
    y = x.new_zeros(rows, w.shape[2])
    _run("assay_grouped_multiply", x, w, y, x.shape[0], ends, y_index=row_index, scales=scales)
    return y


def _outer_cpu(
    x: Tensor, g: Tensor, ends: Tensor, x_index: Tensor | None = None, g_index: Tensor | None = None
) -> Tensor:
    x, g = side_by_side(x), side_by_side(g)
    w = x.new_empty(ends.numel(), x.shape[1], g.shape[1])
    rows = min((each if index is None else index).shape[0] for each, index in ((x, x_index), (g, g_index)))
    _run("assay_grouped_outer", x, w, g, rows, ends, x_index, g_index)
    return w


def _group_rows_cpu(group_of: Tensor, groups: int) -> tuple[Tensor, Tensor, Tensor]:
    group_of = _numbers(group_of)
    ends, order, rows = (
        group_of.new_empty(groups),
        group_of.new_empty(group_of.numel()),
        group_of.new_empty(group_of.numel()),
    )
    choices = group_of.shape[1] if group_of.ndim == 2 else 1
    status = kernels().assay_group_rows(
        group_of.data_ptr(), group_of.numel(), choices, groups, ends.data_ptr(), order.data_ptr(), rows.data_ptr()
    )
    _raise_for(status, ends, group_of.numel())
    return ends, order, rows


def _gathered_fake(
    x: Tensor, w: Tensor, ends: Tensor, row_index: Tensor | None = None, bias: Tensor | None = None
) -> Tensor:
    del ends, bias
    return x.new_empty(x.shape[0] if row_index is None else row_index.shape[0], w.shape[2])


def _scattered_fake(
    x: Tensor, w: Tensor, ends: Tensor, row_index: Tensor, rows: int, scales: Tensor | None = None
) -> Tensor:
    del ends, row_index, scales
    return x.new_empty(rows, w.shape[2])


def _outer_fake(
    x: Tensor, g: Tensor, ends: Tensor, x_index: Tensor | None = None, g_index: Tensor | None = None
) -> Tensor:
    del x_index, g_index
    return x.new_empty(ends.shape[0], x.shape[1], g.shape[1])


def _group_rows_fake(group_of: Tensor, groups: int) -> tuple[Tensor, Tensor, Tensor]:
    of_places = (group_of.numel(), group_of.numel())
    return tuple(group_of.new_empty(size, dtype=torch.int64) for size in (groups, *of_places))  # type: ignore[return-value]


def _product(x: Tensor, w: Tensor, ends: Tensor, x_index: Tensor | None, y_index: Tensor | None, rows: int) -> Tensor:
    """x's rows times w, read through one index and added through another: the adjoint of every operator here."""
    ops = torch.ops.assay
    if y_index is None:
        gathered: Tensor = ops.gathered_mm(x, w, ends, x_index)
        return gathered
    scattered: Tensor = ops.scattered_mm(x if x_index is None else x[x_index], w, ends, y_index, rows)
    return scattered


def _weight_slope(
    w: Tensor, x: Tensor, g: Tensor, ends: Tensor, x_index: Tensor | None, g_index: Tensor | None
) -> Tensor:
    """w's gradient in the order of w's memory, so that a weight and its gradient are laid out alike."""
    turned = w.stride(1) == 1 and w.stride(2) != 1
    first, second = ((g, g_index), (x, x_index)) if turned else ((x, x_index), (g, g_index))
    found: Tensor = torch.ops.assay.grouped_outer(first[0], second[0], ends, first[1], second[1])
    return found.transpose(1, 2) if turned else found


def _gathered_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, w, ends, row_index, bias = inputs
    ctx.save_for_backward(x, w, ends, row_index)
    ctx.has_bias = bias is not None  # PyTorch leaves out trailing defaults, in needs_input_grad too


def _gathered_backward(ctx: Any, slope: Tensor) -> tuple[Any, ...]:
    x, w, ends, row_index = ctx.saved_tensors
    dx = dw = dbias = None
    if ctx.needs_input_grad[0]:
        dx = _product(slope, w.transpose(1, 2), ends, None, row_index, x.shape[0])
    if ctx.needs_input_grad[1]:
        dw = _weight_slope(w, x, slope, ends, row_index, None)
    if ctx.has_bias and ctx.needs_input_grad[4]:
        dbias = torch.ops.assay.grouped_outer(slope.new_ones(slope.shape[0], 1), slope, ends).squeeze(1)
    return dx, dw, None, None, dbias


def _scattered_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, w, ends, row_index, _, scales = inputs
    ctx.save_for_backward(x, w, ends, row_index, scales)


def _scattered_backward(ctx: Any, slope: Tensor) -> tuple[Any, ...]:
    x, w, ends, row_index, scales = ctx.saved_tensors
    dx = dw = dscales = None
    if ctx.needs_input_grad[0] or (scales is not None and ctx.needs_input_grad[5]):
        unscaled = _product(slope, w.transpose(1, 2), ends, row_index, None, x.shape[0])
        dx = unscaled if scales is None else unscaled * scales[:, None]
        dscales = None if scales is None else (unscaled * x).sum(1)
    if ctx.needs_input_grad[1]:
        scaled = x if scales is None else x * scales[:, None]
        dw = _weight_slope(w, scaled, slope, ends, None, row_index)
    return dx, dw, None, None, None, dscales


def _outer_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _outer_backward(ctx: Any, slope: Tensor) -> tuple[Any, ...]:
    x, g, ends, x_index, g_index = ctx.saved_tensors
    dx = dg = None
    if ctx.needs_input_grad[0]:
        dx = _product(g, slope.transpose(1, 2), ends, g_index, x_index, x.shape[0])
    if ctx.needs_input_grad[1]:
        dg = _product(x, slope, ends, x_index, g_index, g.shape[0])
    return dx, dg, None, None, None


gathered_mm = register(
    "gathered_mm(Tensor x, Tensor w, Tensor ends, Tensor? row_index=None, Tensor? bias=None) -> Tensor",
    gathered_cpu, gpu.multiply, _gathered_fake, _gathered_setup, _gathered_backward,
)  # fmt: skip
scattered_mm = register(
    "scattered_mm(Tensor x, Tensor w, Tensor ends, Tensor row_index, SymInt rows, Tensor? scales=None) -> Tensor",
    scattered_cpu, gpu.scattered, _scattered_fake, _scattered_setup, _scattered_backward,
)  # fmt: skip
register(
    "grouped_outer(Tensor x, Tensor g, Tensor ends, Tensor? x_index=None, Tensor? g_index=None) -> Tensor",
    _outer_cpu, gpu.outer, _outer_fake, _outer_setup, _outer_backward,
)  # fmt: skip
register(
    "group_rows(Tensor group_of, SymInt groups) -> (Tensor, Tensor, Tensor)",
    _group_rows_cpu, reference.group_rows, _group_rows_fake,
)  # fmt: skip
