"""Mean over 3 x 3 windows with stride 1 and padding 1, the padding counted."""

import torch
from torch import nn

TASK = {
    "family": "pooling",
    "axes": {"batch": 2, "channels": 32, "height": 64, "width": 64},
    "limits": {"batch": {"max": 4}, "channels": {"max": 40}, "height": {"max": 80}, "width": {"max": 80}},
}


class Model(nn.Module):
    def forward(self, x):
        return nn.functional.avg_pool2d(x, kernel_size=3, stride=1, padding=1)


def get_inputs(batch, channels, height, width):
    return [torch.randn(batch, channels, height, width)]
