"""Sum of a matrix over its first dimension (down the columns, against the memory order)."""

import torch
from torch import nn

TASK = {
    "family": "reduction",
    "axes": {"rows": 2048, "cols": 1024},
    "limits": {"rows": {"max": 3072}, "cols": {"max": 1536}},
    "linear": True,
}


class Model(nn.Module):
    def forward(self, x):
        return x.sum(dim=0)


def get_inputs(rows, cols):
    return [torch.randn(rows, cols)]
