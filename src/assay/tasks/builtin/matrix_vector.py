"""Product of a matrix with a vector: bound by memory, not by arithmetic."""

import torch
from torch import nn

TASK = {
    "family": "gemm",
    "axes": {"rows": 2048, "cols": 1536},
    "limits": {"rows": {"max": 2560}, "cols": {"max": 1600}},
    "linear": True,
    "flops": lambda rows, cols: rows * cols,
}


class Model(nn.Module):
    def forward(self, a, x):
        return a @ x


def get_inputs(rows, cols):
    return [torch.randn(rows, cols), torch.randn(cols)]
