"""3 x 3 convolution, group normalisation and SiLU, the unit that diffusion models repeat."""

import torch
from torch import nn

CHANNELS = 32

TASK = {
    "family": "convolution",
    "axes": {"batch": 2, "height": 48, "width": 48},
    "limits": {"batch": {"max": 4}, "height": {"min": 2, "max": 64}, "width": {"min": 2, "max": 64}},
    "flops": lambda batch, height, width: 2 * 9 * CHANNELS * CHANNELS * batch * height * width // 6,
}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.norm = nn.GroupNorm(8, CHANNELS)
        nn.init.uniform_(self.norm.weight, 0.5, 1.5)
        nn.init.normal_(self.norm.bias)

    def forward(self, x):
        return nn.functional.silu(self.norm(self.conv(x)))


def get_inputs(batch, height, width):
    return [torch.randn(batch, CHANNELS, height, width)]
