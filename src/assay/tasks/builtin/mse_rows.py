"""Mean squared error of each row."""

import torch
from torch import nn

TASK = {
    "family": "loss",
    "axes": {"rows": 1024, "cols": 768},
    "limits": {"rows": {"max": 2048}, "cols": {"max": 1024}},
}


class Model(nn.Module):
    def forward(self, prediction, target):
        return (prediction - target).square().mean(dim=-1)


def get_inputs(rows, cols):
    return [torch.randn(rows, cols) * (torch.rand(rows, 1) * 2 + 0.1), torch.randn(rows, cols)]
