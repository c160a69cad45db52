"""Transposed 4 x 4 convolution with stride 2: doubles an image, as decoders do."""

import torch
from torch import nn

IN_CHANNELS = 64
OUT_CHANNELS = 32

TASK = {
    "family": "convolution",
    "axes": {"batch": 2, "height": 28, "width": 28},
    "limits": {"batch": {"max": 4}, "height": {"max": 40}, "width": {"max": 40}},
    "flops": lambda batch, height, width: 2 * 16 * IN_CHANNELS * OUT_CHANNELS * batch * height * width // 6,
}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.ConvTranspose2d(IN_CHANNELS, OUT_CHANNELS, 4, stride=2, padding=1)

    def forward(self, x):
        return self.conv(x)


def get_inputs(batch, height, width):
    return [torch.randn(batch, IN_CHANNELS, height, width)]
