"""Depthwise 3 x 3 convolution with bias and ReLU6, the middle of a MobileNet block; frozen weights."""

import torch
from torch import nn

CHANNELS = 96

TASK = {
    "family": "convolution",
    "axes": {"batch": 4, "height": 56, "width": 56},
    "limits": {"batch": {"max": 6}, "height": {"max": 64}, "width": {"max": 64}},
    "weights": "frozen",
    "flops": lambda batch, height, width: 2 * 9 * CHANNELS * batch * height * width // 6,
}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, groups=CHANNELS)
        nn.init.normal_(self.conv.weight)

    def forward(self, x):
        return nn.functional.relu6(self.conv(x))


def get_inputs(batch, height, width):
    return [torch.randn(batch, CHANNELS, height, width)]
