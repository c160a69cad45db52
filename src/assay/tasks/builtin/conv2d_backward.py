"""Gradients of a 3 x 3 convolution: of its input, its weight and its bias."""

import torch
from torch import nn

CHANNELS = 32

TASK = {
    "family": "backward",
    "axes": {"batch": 2, "height": 32, "width": 32},
    "limits": {"batch": {"max": 4}, "height": {"max": 48}, "width": {"max": 48}},
    "flops": lambda batch, height, width: 2 * 2 * 9 * CHANNELS * CHANNELS * batch * height * width // 6,
}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)

    def forward(self, x, grad):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad(self.conv(x), [x, self.conv.weight, self.conv.bias], grad)


def get_inputs(batch, height, width):
    return [torch.randn(batch, CHANNELS, height, width), torch.randn(batch, CHANNELS, height, width)]
