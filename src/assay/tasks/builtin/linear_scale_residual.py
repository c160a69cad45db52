"""Linear layer, a learnt scale per column and a residual sum, with live weights."""

import torch
from torch import nn

WIDTH = 512

TASK = {
    "family": "gemm",
    "axes": {"tokens": 384},
    "limits": {"tokens": {"max": 512}},
    "flops": lambda tokens: tokens * WIDTH * WIDTH,
}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(WIDTH, WIDTH)
        self.scale = nn.Parameter(torch.rand(WIDTH) + 0.5)

    def forward(self, x, residual):
        return residual + self.scale * self.linear(x)


def get_inputs(tokens):
    return [torch.randn(tokens, WIDTH), torch.randn(tokens, WIDTH)]
