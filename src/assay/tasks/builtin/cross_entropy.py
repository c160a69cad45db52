"""Mean cross entropy of logits against class indices."""

import torch
from torch import nn

TASK = {
    "family": "loss",
    "axes": {"rows": 1024, "classes": 1000},
    "limits": {"rows": {"max": 2048}, "classes": {"max": 1536}},
}


class Model(nn.Module):
    def forward(self, logits, target):
        return nn.functional.cross_entropy(logits, target)


def get_inputs(rows, classes):
    return [torch.randn(rows, classes) * (torch.rand(1) * 3 + 1), torch.randint(classes, (rows,))]
