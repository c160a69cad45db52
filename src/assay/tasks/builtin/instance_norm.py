"""Instance normalisation without weights: each channel of each image on its own."""

import torch
from torch import nn

TASK = {
    "family": "normalisation",
    "axes": {"batch": 8, "channels": 64, "height": 48, "width": 48},
    "limits": {
        "batch": {"max": 12},
        "channels": {"max": 80},
        "height": {"min": 2, "max": 64},
        "width": {"min": 2, "max": 64},
    },
}


class Model(nn.Module):
    def forward(self, x):
        return nn.functional.instance_norm(x)


def get_inputs(batch, channels, height, width):
    return [torch.randn(batch, channels, height, width) + torch.randn(batch, channels, 1, 1)]
