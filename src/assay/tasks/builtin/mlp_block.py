"""Layer normalisation, two linear layers with GELU between them, residual; frozen weights."""

import torch
from torch import nn

WIDTH = 256
HIDDEN = 1024

TASK = {
    "family": "block",
    "axes": {"tokens": 256},
    "limits": {"tokens": {"max": 384}},
    "weights": "frozen",
    "flops": lambda tokens: 2 * tokens * WIDTH * HIDDEN,
}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.up = nn.Linear(WIDTH, HIDDEN)
        self.down = nn.Linear(HIDDEN, WIDTH)

    def forward(self, x):
        return x + self.down(nn.functional.gelu(self.up(self.norm(x))))


def get_inputs(tokens):
    return [torch.randn(tokens, WIDTH)]
