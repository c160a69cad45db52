"""Gradient of cross entropy with respect to the logits, with a weight per row as the incoming gradient."""

import torch
from torch import nn

TASK = {
    "family": "backward",
    "axes": {"rows": 512, "classes": 1000},
    "limits": {"rows": {"max": 1024}, "classes": {"max": 1536}},
}


class Model(nn.Module):
    def forward(self, logits, target, grad):
        with torch.enable_grad():
            logits = logits.detach().requires_grad_()
            loss = nn.functional.cross_entropy(logits, target, reduction="none")
            return torch.autograd.grad(loss, logits, grad)[0]


def get_inputs(rows, classes):
    return [torch.randn(rows, classes) * 2, torch.randint(classes, (rows,)), torch.randn(rows)]
