"""Transpose of a matrix into contiguous memory."""

import torch
from torch import nn

TASK = {
    "family": "layout",
    "axes": {"rows": 1536, "cols": 1024},
    "limits": {"rows": {"max": 2048}, "cols": {"max": 1536}},
    "linear": True,
}


class Model(nn.Module):
    def forward(self, x):
        return x.T.contiguous()


def get_inputs(rows, cols):
    return [torch.randn(rows, cols)]
