"""Bias, tanh-approximated GELU, a scale per column and a residual: the chain behind a fused MLP epilogue."""

import torch
from torch import nn

WIDTH = 1024

TASK = {
    "family": "elementwise",
    "axes": {"tokens": 512},
    "limits": {"tokens": {"max": 1024}},
}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.randn(WIDTH) * 0.5)
        self.scale = nn.Parameter(torch.rand(WIDTH) + 0.5)

    def forward(self, x, residual):
        return residual + self.scale * nn.functional.gelu(x + self.bias, approximate="tanh")


def get_inputs(tokens):
    return [torch.randn(tokens, WIDTH), torch.randn(tokens, WIDTH)]
