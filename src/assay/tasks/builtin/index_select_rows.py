"""Rows of a matrix gathered by index."""

import torch
from torch import nn

TASK = {
    "family": "gather",
    "axes": {"rows": 4096, "cols": 256, "picks": 4096},
    "limits": {"rows": {"max": 5000}, "cols": {"max": 320}, "picks": {"max": 8192}},
}


class Model(nn.Module):
    def forward(self, x, index):
        return torch.index_select(x, 0, index)


def get_inputs(rows, cols, picks):
    return [torch.randn(rows, cols), torch.randint(rows, (picks,))]
