"""Cross entropy of each row of logits against a class index, not averaged."""

import torch
from torch import nn

TASK = {
    "family": "loss",
    "axes": {"rows": 1024, "classes": 1000},
    "limits": {"rows": {"max": 2048}, "classes": {"max": 1536}},
}


class Model(nn.Module):
    def forward(self, logits, target):
        return nn.functional.cross_entropy(logits, target, reduction="none")


def get_inputs(rows, classes):
    return [torch.randn(rows, classes) * (torch.rand(rows, 1) * 3 + 1), torch.randint(classes, (rows,))]
