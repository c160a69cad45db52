"""Images cut into 8 x 8 patches, one row per patch (the first step of a vision transformer)."""

import torch
from torch import nn

PATCH = 8

TASK = {
    "family": "layout",
    "axes": {"batch": 8, "channels": 3, "height": 224, "width": 224},
    "limits": {
        "batch": {"max": 10},
        "channels": {"max": 4},
        "height": {"min": PATCH, "max": 256, "multiple_of": PATCH},
        "width": {"min": PATCH, "max": 256, "multiple_of": PATCH},
    },
    "linear": True,
}


class Model(nn.Module):
    def forward(self, x):
        batch, channels, height, width = x.shape
        grid = x.reshape(batch, channels, height // PATCH, PATCH, width // PATCH, PATCH)
        return grid.permute(0, 2, 4, 1, 3, 5).reshape(batch, -1, channels * PATCH * PATCH)


def get_inputs(batch, channels, height, width):
    return [torch.randn(batch, channels, height, width)]
