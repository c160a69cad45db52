"""Rows of a table looked up by token index, plus a learnt position, scaled."""

import torch
from torch import nn

VOCABULARY = 8192
WIDTH = 256
POSITIONS = 512

TASK = {
    "family": "embedding",
    "axes": {"batch": 8, "tokens": 256},
    "limits": {"batch": {"max": 12}, "tokens": {"max": POSITIONS}},
}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.token = nn.Embedding(VOCABULARY, WIDTH)
        self.position = nn.Parameter(torch.randn(POSITIONS, WIDTH))

    def forward(self, ids):
        return self.token(ids) * WIDTH**0.5 + self.position[: ids.shape[1]]


def get_inputs(batch, tokens):
    return [torch.randint(VOCABULARY, (batch, tokens))]
