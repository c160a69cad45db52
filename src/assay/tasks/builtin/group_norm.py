"""Group normalisation of an image-shaped tensor: 64 channels in 8 groups."""

import torch
from torch import nn

CHANNELS = 64

TASK = {
    "family": "normalisation",
    "axes": {"batch": 8, "height": 48, "width": 48},
    "limits": {"batch": {"max": 16}, "height": {"min": 2, "max": 64}, "width": {"min": 2, "max": 64}},
}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.GroupNorm(8, CHANNELS)
        nn.init.uniform_(self.norm.weight, 0.5, 1.5)
        nn.init.normal_(self.norm.bias)

    def forward(self, x):
        return self.norm(x)


def get_inputs(batch, height, width):
    return [torch.randn(batch, CHANNELS, height, width) + torch.randn(batch, CHANNELS, 1, 1)]
