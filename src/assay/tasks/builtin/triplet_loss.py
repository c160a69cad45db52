"""Triplet margin loss of each row of anchors, positives and negatives."""

import torch
from torch import nn

TASK = {
    "family": "loss",
    "axes": {"rows": 2048, "width": 256},
    "limits": {"rows": {"max": 3072}, "width": {"max": 384}},
}


class Model(nn.Module):
    def forward(self, anchor, positive, negative):
        return nn.functional.triplet_margin_loss(anchor, positive, negative, margin=2.0, reduction="none")


def get_inputs(rows, width):
    anchor = torch.randn(rows, width)
    near = torch.rand(rows, 1) * 1.2 + 0.2
    return [anchor, anchor + near * torch.randn(rows, width), torch.randn(rows, width)]
