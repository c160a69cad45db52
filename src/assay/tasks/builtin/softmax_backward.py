"""Gradient of row softmax with respect to its logits."""

import torch
from torch import nn

TASK = {
    "family": "backward",
    "axes": {"rows": 512, "cols": 1024},
    "limits": {"rows": {"max": 1024}, "cols": {"max": 1536}},
}


class Model(nn.Module):
    def forward(self, x, grad):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad(torch.softmax(x, dim=-1), x, grad)[0]


def get_inputs(rows, cols):
    return [torch.randn(rows, cols) * 2, torch.randn(rows, cols)]
