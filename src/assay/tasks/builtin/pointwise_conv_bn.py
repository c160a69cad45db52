"""1 x 1 convolution, batch normalisation with stored statistics and ReLU; frozen, so that it folds to one GEMM."""

import torch
from torch import nn

IN_CHANNELS = 128
OUT_CHANNELS = 64

TASK = {
    "family": "convolution",
    "axes": {"batch": 4, "height": 28, "width": 28},
    "limits": {"batch": {"max": 8}, "height": {"max": 40}, "width": {"max": 40}},
    "weights": "frozen",
    "flops": lambda batch, height, width: IN_CHANNELS * OUT_CHANNELS * batch * height * width,
}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(IN_CHANNELS, OUT_CHANNELS, 1, bias=False)
        self.norm = nn.BatchNorm2d(OUT_CHANNELS)
        nn.init.uniform_(self.norm.weight, 0.5, 1.5)
        nn.init.normal_(self.norm.bias, std=0.5)
        nn.init.normal_(self.norm.running_mean, std=0.5)
        nn.init.uniform_(self.norm.running_var, 0.5, 2.0)

    def forward(self, x):
        return torch.relu(self.norm(self.conv(x)))


def get_inputs(batch, height, width):
    return [torch.randn(batch, IN_CHANNELS, height, width)]
