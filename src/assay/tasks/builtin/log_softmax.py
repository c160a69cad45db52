"""Log-softmax over the channels of an image-shaped tensor (the reduced dimension is not the last one)."""

import torch
from torch import nn

TASK = {
    "family": "softmax",
    "axes": {"batch": 8, "classes": 32, "height": 64, "width": 64},
    "limits": {"batch": {"max": 12}, "classes": {"max": 48}, "height": {"max": 72}, "width": {"max": 72}},
}


class Model(nn.Module):
    def forward(self, x):
        return torch.log_softmax(x, dim=1)


def get_inputs(batch, classes, height, width):
    return [torch.randn(batch, classes, height, width) * 2]
