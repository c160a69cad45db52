"""Product of a transposed matrix with another, a.T @ b, as in a weight gradient."""

import torch
from torch import nn

TASK = {
    "family": "gemm",
    "axes": {"m": 256, "n": 384, "k": 768},
    "limits": {"m": {"max": 384}, "n": {"max": 512}, "k": {"max": 1024}},
    "linear": True,
    "flops": lambda m, n, k: m * n * k,
}


class Model(nn.Module):
    def forward(self, a, b):
        return a.T @ b


def get_inputs(m, n, k):
    return [torch.randn(k, m), torch.randn(k, n)]
