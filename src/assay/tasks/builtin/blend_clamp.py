"""A weighted sum of two tensors, clamped, with the weights as numbers: clamp(alpha * x + beta * y, -1.5, 1.5)."""

import torch
from torch import nn

TASK = {
    "family": "elementwise",
    "axes": {"n": 1048576},
    "limits": {"n": {"max": 2097152}},
}


class Model(nn.Module):
    def forward(self, x, y, alpha, beta):
        return torch.clamp(alpha * x + beta * y, -1.5, 1.5)


def get_inputs(n):
    return [torch.randn(n), torch.randn(n), 0.75, -1.25]
