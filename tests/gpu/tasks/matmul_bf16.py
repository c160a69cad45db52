"""Product of two bfloat16 matrices, summed in float32 and rounded to bfloat16: what tensor cores are made for."""

import torch
from torch import nn

TASK = {
    "family": "gemm",
    "axes": {"m": 1024, "n": 1024, "k": 1024},
    "limits": {"m": {"max": 1536}, "n": {"max": 1536}, "k": {"max": 1536}},
    "linear": True,
    "flops": lambda m, n, k: m * n * k,
}


class Model(nn.Module):
    def forward(self, a, b):
        return a @ b


def get_inputs(m, n, k):
    return [torch.randn(m, k).bfloat16(), torch.randn(k, n).bfloat16()]
