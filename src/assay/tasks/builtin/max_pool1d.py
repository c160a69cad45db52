"""Maximum over windows of 5 with stride 3 along a sequence."""

import torch
from torch import nn

TASK = {
    "family": "pooling",
    "axes": {"batch": 16, "channels": 64, "length": 1024},
    "limits": {"batch": {"max": 24}, "channels": {"max": 80}, "length": {"min": 5, "max": 1280}},
}


class Model(nn.Module):
    def forward(self, x):
        return nn.functional.max_pool1d(x, kernel_size=5, stride=3)


def get_inputs(batch, channels, length):
    return [torch.randn(batch, channels, length)]
