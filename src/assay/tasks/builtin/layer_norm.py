"""Layer normalisation over the last dimension with weight and bias."""

import torch
from torch import nn

WIDTH = 768

TASK = {
    "family": "normalisation",
    "axes": {"tokens": 1024},
    "limits": {"tokens": {"max": 2048}},
}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        nn.init.uniform_(self.norm.weight, 0.5, 1.5)
        nn.init.normal_(self.norm.bias)

    def forward(self, x):
        return self.norm(x)


def get_inputs(tokens):
    return [torch.randn(tokens, WIDTH) * (torch.rand(tokens, 1) + 0.5) + torch.randn(tokens, 1)]
