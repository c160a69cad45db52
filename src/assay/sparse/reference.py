"""What the operators compute, in plain PyTorch through a dense matrix: the tests' oracle, any other device's path.

Arguments are those of the operators of ops.py; layouts are the six tensors of `BlockLayout`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from assay.sparse.layout import block_rows


def dense(values: Tensor, layout: Sequence[Tensor], out_features: int, in_features: int) -> Tensor:
    """The [out, in] matrix of block-sparse values; differentiable."""
    block = values.shape[-1]
    rows, columns = -(-out_features // block), -(-in_features // block)
    grid = values.new_zeros(rows, columns, block, block)
    grid = grid.index_put((block_rows(layout[0], layout[1]), layout[1]), values)
    return grid.transpose(1, 2).reshape(rows * block, columns * block)[:out_features, :in_features]


def multiply(x: Tensor, values: Tensor, layout: Sequence[Tensor], out_features: int, bias: Tensor | None) -> Tensor:
    """x [rows, in] times the matrix transposed, plus bias [out]: [rows, out]."""
    return torch.nn.functional.linear(x, dense(values, layout, out_features, x.shape[1]), bias)


def multiply_transposed(g: Tensor, values: Tensor, layout: Sequence[Tensor], in_features: int) -> Tensor:
    """g [rows, out] times the matrix: [rows, in]."""
    return g @ dense(values, layout, g.shape[1], in_features)


def multiply_int8(
    x: Tensor, values: Tensor, scales: Tensor, layout: Sequence[Tensor], out_features: int, bias: Tensor | None
) -> Tensor:
    """`multiply` by int8 values whose output rows are scaled by scales [out]."""
    matrix = dense(values.to(x.dtype), layout, out_features, x.shape[1])
    return torch.nn.functional.linear(x, matrix * scales.to(x.dtype)[:, None], bias)


def sampled(x: Tensor, g: Tensor, layout: Sequence[Tensor], block: int) -> Tensor:
    """g [rows, out] transposed times x [rows, in] at the kept blocks: [blocks, block, block]."""
    wanted = torch.nn.functional.pad(g, (0, -g.shape[1] % block)).T @ torch.nn.functional.pad(
        x, (0, -x.shape[1] % block)
    )
    rows, columns = wanted.shape[0] // block, wanted.shape[1] // block
    return wanted.view(rows, block, columns, block).transpose(1, 2)[block_rows(layout[0], layout[1]), layout[1]]


def transposed(values: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
    """The blocks in another order, each transposed."""
    del inverse
    return values[order].transpose(-1, -2).contiguous()


def grouped(x: Tensor, w: Tensor, ends: Tensor, row_index: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """Each group's rows of x times its matrix of w [groups, in, out], by a loop; `ends` is read on the host."""
    x = x if row_index is None else x[row_index]
    y = x.new_zeros(x.shape[0], w.shape[2])
    for group, (start, end) in enumerate(_ranges(ends)):
        y[start:end] = x[start:end] @ w[group] if bias is None else torch.addmm(bias[group], x[start:end], w[group])
    return y


def scattered(x: Tensor, w: Tensor, ends: Tensor, row_index: Tensor, rows: int, scales: Tensor | None = None) -> Tensor:
    """`grouped`'s rows, scaled and added to those of [rows, out] that the index names."""
    y = grouped(x, w, ends)
    y = y if scales is None else y * scales[:, None]
    return x.new_zeros(rows, w.shape[2]).index_add(0, row_index, y)


def grouped_outer(
    x: Tensor, g: Tensor, ends: Tensor, x_index: Tensor | None = None, g_index: Tensor | None = None
) -> Tensor:
    """Each group's rows of x, transposed, times its rows of g: [groups, in, out]."""
    x, g = x if x_index is None else x[x_index], g if g_index is None else g[g_index]
    parts = [x[start:end].T @ g[start:end] for start, end in _ranges(ends)]
    return torch.stack(parts) if parts else x.new_zeros(0, x.shape[1], g.shape[1])


def group_rows(group_of: Tensor, groups: int) -> tuple[Tensor, Tensor, Tensor]:
    """Where each group ends, the places of [n] or [n, k] choices sorted by group, and the rows they are in."""
    flat = group_of.flatten()
    counts = torch.zeros(groups, dtype=torch.int64, device=flat.device)
    counts.index_add_(0, flat, torch.ones_like(flat, dtype=torch.int64))
    order = flat.argsort(stable=True)
    return counts.cumsum(0), order, order // (group_of.shape[1] if group_of.ndim == 2 else 1)


def _ranges(ends: Tensor) -> list[tuple[int, int]]:
    found = ends.tolist()
    return list(zip([0, *found], found, strict=False))
