"""Grouped products: the interface of `torch.nn.functional.grouped_mm`, for the experts of a mixture.

Unlike torch's, float64 works, operands have any strides, rows beyond the last offset are zero, offsets are checked, and
torch.compile keeps one graph. float16 and bfloat16 are rounded once at the end: on a CPU they are computed in float32,
as processors without units for them do these products several times faster that way.
"""

from __future__ import annotations

import torch
from torch import Tensor

from assay.errors import InputError
from assay.sparse import grouped_ops
from assay.sparse.operators import HALVES, KINDS

_DTYPES = (*KINDS, *HALVES)


def grouped_mm(
    mat_a: Tensor,
    mat_b: Tensor,
    *,
    offs: Tensor | None = None,
    bias: Tensor | None = None,
    out_dtype: torch.dtype | None = None,
) -> Tensor:
    """One matrix product for every group, where groups share an axis in unequal parts.

    Args:
        mat_a: [rows, K], or [groups, M, K].
        mat_b: [groups, K, N], or [K, N]. Of mat_a's dtype: float32, float64, float16 or bfloat16.
        offs: int32 or int64 [groups], where each group ends on the axis that groups share, on the operands' device.
            Required where an operand is 2-D. Values are checked on a CPU; elsewhere that would wait for them.
        bias: [N], or [groups, N] with a row for each group; not where both the result's axes are shared.
        out_dtype: of the result; mat_a's where not given.

    Returns:
        2-D x 3-D: [rows, N], rows beyond the last offset being zero. 2-D x 2-D, K being shared: [groups, M, N].
        3-D x 3-D: [groups, M, N]. 3-D x 2-D, N being shared: [M, N], columns beyond the last offset being zero.
        Differentiable any number of times in mat_a, mat_b and bias.

    Raises:
        InputError: for shapes that do not fit, other dtypes, mixed devices, offsets that decrease or leave the axis.
    """
    _check_operands(mat_a, mat_b)
    ranks = (mat_a.ndim, mat_b.ndim)
    _check_offsets(mat_a, mat_b, offs)
    _check_bias(mat_a, mat_b, offs, bias)
    _check_dtype(out_dtype or mat_a.dtype, "out_dtype")
    wanted = out_dtype or mat_a.dtype
    a, b, extra = _computed(mat_a), _computed(mat_b), None if bias is None else _computed(bias)
    ops = torch.ops.assay
    y: Tensor
    if ranks == (3, 3):
        y = torch.bmm(a, b)
    elif ranks == (2, 3):
        y = ops.gathered_mm(a, b, offs, None, None if extra is None else extra.expand(b.shape[0], -1))
    elif ranks == (3, 2):
        y = ops.gathered_mm(b.T, a.transpose(1, 2), offs).T
    else:
        y = ops.grouped_outer(a.T, b, offs)
    if extra is not None and y.ndim == 3:
        y = y + (extra if extra.ndim == 1 else extra.unsqueeze(1))
    return y.to(wanted)


def gathered_mm(x: Tensor, w: Tensor, ends: Tensor, row_index: Tensor | None = None) -> Tensor:
    """y[i] = x[row_index[i]] times the matrix of i's group, the rows being gathered while they are packed.

    Args:
        x: [tokens, K], float32, float64, float16 or bfloat16.
        w: [groups, K, N] of the same dtype, any strides; [groups, N, K] transposed is as fast.
        ends: int32 or int64 [groups], where each group's rows of y end.
        row_index: int32 or int64 [rows], x's row for each row of y; None where they are the same.

    Returns:
        [rows, N]; rows beyond the last end are zero. Differentiable any number of times in x and w.

    Raises:
        InputError: as `grouped_mm` does, and for an index outside of x.
    """
    _check_rows(x, w, ends, row_index)
    y: Tensor = grouped_ops.gathered_mm(_computed(x), _computed(w), ends, row_index)
    return y.to(x.dtype)


def scattered_mm(
    x: Tensor, w: Tensor, ends: Tensor, row_index: Tensor, rows: int, scales: Tensor | None = None
) -> Tensor:
    """y[row_index[i]] += scales[i] * x[i] times the matrix of i's group: `gathered_mm` turned round.

    Args:
        x: [n, K], as `gathered_mm` takes it.
        w: [groups, K, N], as `gathered_mm` takes it.
        ends: int32 or int64 [groups], where each group's rows of x end. Rows beyond are not added.
        row_index: int32 or int64 [n], the row of y that each row of x is added to.
        rows: how many y has.
        scales: [n] of x's dtype, such as a mixture's gates; None for 1.

    Returns:
        [rows, N]; a row that nothing is added to is zero. Sums have one order, whatever the number of threads.
        Differentiable any number of times in x, w and scales.

    Raises:
        InputError: as `grouped_mm` does, and for an index outside of y.
    """
    _check_rows(x, w, ends, row_index)
    if row_index.shape[0] != x.shape[0]:
        raise _wrong("row_index does not have one row for each of x's", str(row_index.shape[0]), str(x.shape[0]))
    if scales is not None and (scales.shape != x.shape[:1] or scales.dtype != x.dtype or scales.device != x.device):
        value = f"{scales.dtype} of shape {tuple(scales.shape)} on {scales.device}"
        raise _wrong("the scales do not fit x", value, f"{x.dtype} of shape ({x.shape[0]},) on {x.device}")
    extra = None if scales is None else _computed(scales)
    y: Tensor = grouped_ops.scattered_mm(_computed(x), _computed(w), ends, row_index, rows, extra)
    return y.to(x.dtype)


def group_rows(group_of: Tensor, groups: int) -> tuple[Tensor, Tensor, Tensor]:
    """The rows of each group: what `gathered_mm` and `scattered_mm` want to know of a router's choices.

    Args:
        group_of: int32 or int64 [n], each row's group, or [n, k], each row's k groups.
        groups: how many there are.

    Returns:
        int64 [groups], where each group ends; int64 [n * k], the places of group_of (flattened) sorted by group, each
        group's in order, which sorts gates likewise; and int64 [n * k], the rows that they are in: the row_index.

    Raises:
        InputError: for another dtype or shape, and on a CPU for a group that is negative or too large.
    """
    if group_of.ndim not in (1, 2) or group_of.dtype not in (torch.int32, torch.int64):
        value = f"{group_of.dtype} of shape {tuple(group_of.shape)}"
        raise _wrong("group_of is not an index", value, "int32 or int64 of one or two axes")
    ends, order, rows = torch.ops.assay.group_rows(group_of, groups)
    return ends, order, rows


def _computed(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in HALVES and tensor.device.type == "cpu" else tensor


def _wrong(what: str, value: str, rule: str) -> InputError:
    return InputError(what, value=value, rule=rule, next_step="see the docstring of assay.sparse.grouped.grouped_mm")


def _check_dtype(dtype: torch.dtype, name: str) -> None:
    if dtype not in _DTYPES:
        raise _wrong(f"{name} has a dtype without grouped products", str(dtype), ", ".join(map(str, _DTYPES)))


def _check_operands(a: Tensor, b: Tensor) -> None:
    for name, tensor in (("mat_a", a), ("mat_b", b)):
        _check_dtype(tensor.dtype, name)
        if tensor.ndim not in (2, 3):
            raise _wrong(f"{name} has a wrong rank", str(tensor.ndim), "2 or 3")
    if a.dtype != b.dtype or a.device != b.device:
        value = f"{a.dtype} on {a.device}, {b.dtype} on {b.device}"
        raise _wrong("the operands differ in kind", value, "one dtype and one device")
    batched = a.ndim == b.ndim == 3
    if a.shape[-1] != b.shape[-2] or (batched and a.shape[0] != b.shape[0]):
        value = f"{tuple(a.shape)} and {tuple(b.shape)}"
        raise _wrong("the operands' shapes do not fit", value, "mat_a's columns are mat_b's rows, groups are equal")


def _check_index(index: Tensor, name: str, device: torch.device) -> None:
    if index.ndim != 1 or index.dtype not in (torch.int32, torch.int64) or index.device != device:
        value = f"{index.dtype} of shape {tuple(index.shape)} on {index.device}"
        raise _wrong(f"{name} is not an index", value, f"int32 or int64 of one axis on {device}")


def _check_rows(x: Tensor, w: Tensor, ends: Tensor, row_index: Tensor | None) -> None:
    _check_operands(x, w)
    if (x.ndim, w.ndim) != (2, 3):
        raise _wrong("the operands have wrong ranks", f"{x.ndim} and {w.ndim}", "x is [rows, K], w [groups, K, N]")
    _check_offsets(x, w, ends)
    if row_index is not None:
        _check_index(row_index, "row_index", x.device)


def _check_offsets(a: Tensor, b: Tensor, offs: Tensor | None) -> None:
    batched = a.ndim == b.ndim == 3
    if (offs is None) != batched:
        raise _wrong("offs is given where it is not needed, or missing", str(offs), "required where an operand is 2-D")
    if offs is None:
        return
    _check_index(offs, "offs", a.device)
    groups = a.shape[0] if a.ndim == 3 else b.shape[0] if b.ndim == 3 else offs.shape[0]
    if offs.shape[0] != groups:
        raise _wrong("offs does not have one end for each group", str(offs.shape[0]), str(groups))


def _check_bias(a: Tensor, b: Tensor, offs: Tensor | None, bias: Tensor | None) -> None:
    if bias is None:
        return
    groups = b.shape[0] if b.ndim == 3 else a.shape[0] if offs is None else offs.shape[0]
    shapes = ((b.shape[-1],), (groups, b.shape[-1]))
    if (a.ndim, b.ndim) == (3, 2) or tuple(bias.shape) not in shapes:
        rule = f"{shapes[0]} or {shapes[1]}, and none for 3-D x 2-D, whose groups share the columns"
        raise _wrong("the bias does not fit the product", str(tuple(bias.shape)), rule)
    if bias.dtype != a.dtype or bias.device != a.device:
        raise _wrong("the bias differs in kind", f"{bias.dtype} on {bias.device}", f"{a.dtype} on {a.device}")
