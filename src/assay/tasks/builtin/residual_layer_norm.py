"""Residual sum followed by layer normalisation; both the sum and its normal form are returned."""

import torch
from torch import nn

WIDTH = 768

TASK = {
    "family": "normalisation",
    "axes": {"tokens": 768},
    "limits": {"tokens": {"max": 1536}},
}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        nn.init.uniform_(self.norm.weight, 0.5, 1.5)
        nn.init.normal_(self.norm.bias)

    def forward(self, x, residual):
        total = x + residual
        return total, self.norm(total)


def get_inputs(tokens):
    return [torch.randn(tokens, WIDTH), torch.randn(tokens, WIDTH) * 2]
