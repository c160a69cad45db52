"""An MLP-Mixer (Tolstikhin et al. 2021) of four blocks over 64 patches."""

import torch
from torch import nn

PATCHES, WIDTH = 64, 256


class Mlp(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x):
        return self.down(nn.functional.gelu(self.up(x)))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.tokens, self.channels = Mlp(PATCHES, 128), Mlp(WIDTH, 1024)

    def forward(self, x):
        x = x + self.tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channels(self.norm2(x))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(*(Block() for _ in range(4)))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 100)

    def forward(self, x):
        return self.head(self.norm(self.blocks(x)).mean(1))


def get_inputs():
    return [torch.randn(8, PATCHES, WIDTH)]
