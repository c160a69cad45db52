"""Causal depthwise convolution over four steps and SiLU, the short filter of state-space models."""

import torch
from torch import nn

CHANNELS = 256
TAPS = 4

TASK = {
    "family": "convolution",
    "axes": {"batch": 4, "length": 512},
    "limits": {"batch": {"max": 8}, "length": {"max": 768}},
    "flops": lambda batch, length: 2 * TAPS * CHANNELS * batch * length // 6,
}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(CHANNELS, CHANNELS, TAPS, groups=CHANNELS)

    def forward(self, x):
        return nn.functional.silu(self.conv(nn.functional.pad(x, (TAPS - 1, 0))))


def get_inputs(batch, length):
    return [torch.randn(batch, CHANNELS, length)]
