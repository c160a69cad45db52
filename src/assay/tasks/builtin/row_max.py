"""Largest value of each row."""

import torch
from torch import nn

TASK = {
    "family": "reduction",
    "axes": {"rows": 2048, "cols": 1024},
    "limits": {"rows": {"max": 3072}, "cols": {"max": 1536}},
}


class Model(nn.Module):
    def forward(self, x):
        return x.amax(dim=-1)


def get_inputs(rows, cols):
    return [torch.randn(rows, cols) * (torch.rand(rows, 1) + 0.1)]
