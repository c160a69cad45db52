"""Huber loss with threshold 1, summed over each row."""

import torch
from torch import nn

TASK = {
    "family": "loss",
    "axes": {"rows": 1024, "cols": 512},
    "limits": {"rows": {"max": 2048}, "cols": {"max": 1024}},
}


class Model(nn.Module):
    def forward(self, prediction, target):
        return nn.functional.huber_loss(prediction, target, reduction="none").sum(dim=-1)


def get_inputs(rows, cols):
    return [torch.randn(rows, cols) * (torch.rand(rows, 1) * 3 + 0.1), torch.randn(rows, cols)]
