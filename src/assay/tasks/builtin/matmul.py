"""Product of two matrices."""

import torch
from torch import nn

TASK = {
    "family": "gemm",
    "axes": {"m": 384, "n": 512, "k": 512},
    "limits": {"m": {"max": 512}, "n": {"max": 640}, "k": {"max": 640}},
    "linear": True,
    # Half of the textbook count: a few levels of Strassen's algorithm save less than that at these sizes.
    "flops": lambda m, n, k: m * n * k,
}


class Model(nn.Module):
    def forward(self, a, b):
        return a @ b


def get_inputs(m, n, k):
    return [torch.randn(m, k), torch.randn(k, n)]
