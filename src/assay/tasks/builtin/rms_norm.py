"""Root-mean-square normalisation with a weight, as in Llama-style models."""

import torch
from torch import nn

WIDTH = 1024

TASK = {
    "family": "normalisation",
    "axes": {"tokens": 1024},
    "limits": {"tokens": {"max": 2048}},
}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(WIDTH) + 0.5)

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(dim=-1, keepdim=True) + 1e-6) * self.weight


def get_inputs(tokens):
    return [torch.randn(tokens, WIDTH) * (torch.rand(tokens, 1) * 2 + 0.1)]
