"""Matrix product, a bias per column and ReLU, with both factors as inputs."""

import torch
from torch import nn

TASK = {
    "family": "gemm",
    "axes": {"m": 256, "n": 512, "k": 384},
    "limits": {"m": {"max": 384}, "n": {"max": 640}, "k": {"max": 512}},
    "linear": True,
    "flops": lambda m, n, k: m * n * k,
}


class Model(nn.Module):
    def forward(self, a, b, bias):
        return torch.relu(a @ b + bias)


def get_inputs(m, n, k):
    return [torch.randn(m, k), torch.randn(k, n), torch.randn(n) * 8]
