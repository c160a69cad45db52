"""Batch normalisation with stored statistics, then ReLU, as an inference network applies it."""

import torch
from torch import nn

CHANNELS = 64

TASK = {
    "family": "normalisation",
    "axes": {"batch": 8, "height": 56, "width": 56},
    "limits": {"batch": {"max": 12}, "height": {"max": 64}, "width": {"max": 64}},
    "weights": "frozen",
}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(CHANNELS)
        nn.init.uniform_(self.norm.weight, 0.5, 1.5)
        nn.init.normal_(self.norm.bias)
        nn.init.normal_(self.norm.running_mean)
        nn.init.uniform_(self.norm.running_var, 0.5, 2.0)

    def forward(self, x):
        return torch.relu(self.norm(x))


def get_inputs(batch, height, width):
    return [torch.randn(batch, CHANNELS, height, width)]
