"""Small models and data for tests of pruning."""

from itertools import pairwise

import torch
from torch import nn

from assay.pruning.protocol import Data


class Mixed(nn.Module):
    """A convolution, batch normalisation, dropout and linear layers: all that a method may disturb."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.2)
        self.hidden, self.head = nn.Linear(4 * 16, 12), nn.Linear(12, 3)

    def forward(self, x):
        x = torch.relu(self.norm(self.conv(x))).flatten(1)
        return self.head(torch.relu(self.hidden(self.drop(x))))


def chain(*widths, bias=True):
    """Linear layers with ReLU between them."""
    layers = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after, bias=bias), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def images(number):
    drawing = torch.Generator().manual_seed(number)
    return torch.randn(8, 2, 4, 4, generator=drawing), torch.randint(3, (8,), generator=drawing)


def vectors(width, outputs=3, rows=16, dtype=torch.float32):
    """Data of a classification of vectors."""

    def get_batch(number):
        drawing = torch.Generator().manual_seed(number)
        x = torch.randn(rows, width, generator=drawing).to(dtype)
        return x, (x[:, :outputs] * 2).argmax(1)

    return Data(get_batch, cross_entropy)


def cross_entropy(model, x, targets):
    return nn.functional.cross_entropy(model(x), targets)


IMAGES = Data(images, cross_entropy)
