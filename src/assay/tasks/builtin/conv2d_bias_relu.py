"""3 x 3 convolution with bias and ReLU; the weights are frozen, as in inference."""

import torch
from torch import nn

CHANNELS = 64

TASK = {
    "family": "convolution",
    "axes": {"batch": 2, "height": 56, "width": 56},
    "limits": {"batch": {"max": 4}, "height": {"max": 64}, "width": {"max": 64}},
    "weights": "frozen",
    # Winograd's F(6x6, 3x3) saves a factor of 5.06 at most (Lavin and Gray, 2016); 6 stays below any of them.
    "flops": lambda batch, height, width: 2 * 9 * CHANNELS * CHANNELS * batch * height * width // 6,
}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)

    def forward(self, x):
        return torch.relu(self.conv(x))


def get_inputs(batch, height, width):
    return [torch.randn(batch, CHANNELS, height, width)]
