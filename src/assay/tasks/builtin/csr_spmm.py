"""Sparse matrix (compressed rows) times dense matrix, written with gathers and a segment sum."""

import torch
from torch import nn

TASK = {
    "family": "sparse",
    "axes": {"rows": 2048, "cols": 2048, "per_row": 16, "width": 64},
    "limits": {"rows": {"max": 2560}, "cols": {"max": 2560}, "per_row": {"max": 20}, "width": {"max": 80}},
    "linear": True,
}


class Model(nn.Module):
    def forward(self, starts, columns, values, x):
        counts = starts.diff()
        owner = torch.repeat_interleave(torch.arange(counts.numel()), counts)
        products = values[:, None] * x[columns]
        return torch.zeros(counts.numel(), x.shape[1], dtype=x.dtype).index_add(0, owner, products)


def get_inputs(rows, cols, per_row, width):
    counts = torch.bincount(torch.randint(rows, (rows * per_row,)), minlength=rows)
    starts = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
    columns = torch.randint(cols, (rows * per_row,))
    return [starts, columns, torch.randn(rows * per_row), torch.randn(cols, width)]
