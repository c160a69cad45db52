"""Grouped products on a GPU: `gathered_mm`, `scattered_mm` and `grouped_outer`, launched as Triton kernels.

Nothing waits for the device: where groups end is read there. Precision and tiles are as in `blocks.py`; what Triton
cannot run goes to `reference.py`. Offsets and row indices cannot be checked without waiting: rows that an index takes
from outside of its operand become NaN, and offsets are cut to the rows that there are.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from assay.sparse import reference
from assay.sparse.gpu.support import kernels, launch, line, near, power_of_two, precision, processors, usable

_RESIDENT = 2
"""Persistent programs for each processor: as many of the largest tiles as fit into an H100's shared memory."""


def multiply(x: Tensor, w: Tensor, ends: Tensor, row_index: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """`gathered_mm`: y[i] = x[row_index[i]] times w [groups, K, N] of i's group, plus bias [groups, N]: [rows, N]."""
    if not usable(x):
        return reference.grouped(x, w, ends, row_index, bias)
    return _product(x, w, ends, row_index, bias, None, x.dtype)


def scattered(x: Tensor, w: Tensor, ends: Tensor, row_index: Tensor, rows: int, scales: Tensor | None = None) -> Tensor:
    """`scattered_mm`: y[row_index[i]] += scales[i] * x[i] times w of i's group: [rows, N].

    The sums are PyTorch's `index_add`, in float32 for half precisions: their order varies from run to run unless
    `torch.use_deterministic_algorithms` asks for one.
    """
    if not usable(x):
        return reference.scattered(x, w, ends, row_index, rows, scales)
    found = _product(x, w, ends, None, None, scales, torch.float32)
    if not ends.numel():
        return x.new_zeros(rows, w.shape[2])
    # Rows beyond the last end are zero, and their indices may be anything.
    owned = torch.arange(x.shape[0], device=x.device) < ends[-1]
    return found.new_zeros(rows, w.shape[2]).index_add(0, torch.where(owned, row_index, 0), found).to(x.dtype)


def outer(
    x: Tensor, g: Tensor, ends: Tensor, x_index: Tensor | None = None, g_index: Tensor | None = None
) -> Tensor:  # fmt: skip
    """`grouped_outer`: the group's rows of x [tokens, K], transposed, times its rows of g [rows, N]: [groups, K, N]."""
    if not usable(x):
        return reference.grouped_outer(x, g, ends, x_index, g_index)
    x, g = near(x), near(g)
    groups, inputs, outputs = ends.shape[0], x.shape[1], g.shape[1]
    rows = min((each if index is None else index).shape[0] for each, index in ((x, x_index), (g, g_index)))
    out = x.new_empty(groups, inputs, outputs)
    tile = _tile(x, inputs, outputs)
    tile["INPUTS"] = tile.pop("ROWS")
    programs = groups * -(-inputs // tile["INPUTS"]) * -(-outputs // tile["OUTPUTS"])
    launch(
        kernels("grouped_kernels").outer, programs, x,
        x, g, out, ends.contiguous(), _flat(x_index), _flat(g_index), x.shape[0], g.shape[0], rows, inputs, outputs,
        *x.stride(), *g.stride(), *out.stride(), ROWS=line(x), PRECISION=precision(x), **tile,
    )  # fmt: skip
    return out


def _product(
    x: Tensor, w: Tensor, ends: Tensor, row_index: Tensor | None, bias: Tensor | None, scales: Tensor | None,
    wanted: torch.dtype,
) -> Tensor:  # fmt: skip
    x = near(x)
    rows = x.shape[0] if row_index is None else row_index.shape[0]
    groups, inner, outputs = w.shape
    y = x.new_empty(rows, outputs, dtype=wanted)
    tile = _tile(x, -(-rows // max(groups, 1)), outputs)
    most = (-(-rows // tile["ROWS"]) + groups + 1) * -(-outputs // tile["OUTPUTS"]) if y.numel() else 0
    launch(
        kernels("grouped_kernels").multiply, min(most, _RESIDENT * processors(x.device)), x,
        x, w, bias, _flat(scales), y, ends.contiguous(), _flat(row_index), x.shape[0], rows, inner, outputs, groups,
        *x.stride(), *w.stride(), *((0, 0) if bias is None else bias.stride()),
        GROUPS=power_of_two(groups + 1, 1, 1 << 30), INNER=line(x), PRECISION=precision(x), **tile,
    )  # fmt: skip
    return y


def _tile(x: Tensor, rows: int, outputs: int) -> dict[str, Any]:
    """Up to 128 x 128 of half precisions, 64 x 64 of float32, and no more than there is to do.

    Args:
        x: an operand.
        rows: of a group on average, which is all that is known here.
        outputs: of every group.
    """
    side = 128 if x.element_size() == 2 else 64
    high, wide = power_of_two(rows, 16, side), power_of_two(outputs, 16, side)
    return {"ROWS": high, "OUTPUTS": wide, "num_warps": 8 if high * wide > 128 * 64 else 4, "num_stages": 3}


def _flat(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()
