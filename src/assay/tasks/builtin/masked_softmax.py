"""Softmax with a temperature and a boolean mask per row; each row keeps at least its first element."""

import torch
from torch import nn

TASK = {
    "family": "softmax",
    "axes": {"rows": 1024, "cols": 1024},
    "limits": {"rows": {"max": 2048}, "cols": {"max": 1536}},
}


class Model(nn.Module):
    def forward(self, x, keep, temperature):
        return torch.softmax((x / temperature).masked_fill(~keep, float("-inf")), dim=-1)


def get_inputs(rows, cols):
    keep = torch.rand(rows, cols) < 0.7
    keep[:, 0] = True
    return [torch.randn(rows, cols), keep, 0.5]
