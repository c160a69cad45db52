"""Gradients of root-mean-square normalisation: of its input and its weight."""

import torch
from torch import nn

WIDTH = 768

TASK = {
    "family": "backward",
    "axes": {"tokens": 512},
    "limits": {"tokens": {"max": 1024}},
}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(WIDTH) + 0.5)

    def forward(self, x, grad):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            y = x * torch.rsqrt(x.pow(2).mean(dim=-1, keepdim=True) + 1e-6) * self.weight
            return torch.autograd.grad(y, [x, self.weight], grad)


def get_inputs(tokens):
    return [torch.randn(tokens, WIDTH) * (torch.rand(tokens, 1) + 0.5), torch.randn(tokens, WIDTH)]
