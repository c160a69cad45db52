"""Weighted sums of looked-up rows, 20 to a bag (a recommender's sparse features)."""

import torch
from torch import nn

ROWS = 10000
WIDTH = 128
BAG = 20

TASK = {
    "family": "embedding",
    "axes": {"bags": 1024},
    "limits": {"bags": {"max": 2048}},
}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.bag = nn.EmbeddingBag(ROWS, WIDTH, mode="sum")

    def forward(self, ids, weights):
        return self.bag(ids, per_sample_weights=weights)


def get_inputs(bags):
    return [torch.randint(ROWS, (bags, BAG)), torch.randn(bags, BAG)]
