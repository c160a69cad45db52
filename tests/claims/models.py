"""Tiny model folders and data files for tests of claims."""

import torch

from assay.checkpoints import write_folder
from assay.claims.quality import Margin
from assay.claims.settings import ClaimSettings

REGRESSION = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(32, {hidden}), nn.Linear({hidden}, 4)
    def forward(self, x):
        outputs = self.second(torch.relu(self.first(x)))
        {more}
        return outputs

def make_model():
    return Net()
"""
DATA = """
import torch
SCORE, UNIT = "squared error", "units"

def held_out():
    numbers = torch.Generator().manual_seed(3)
    for _ in range(4):
        x = torch.randn(64, 32, generator=numbers)
        yield x, x[:, :4].sin()

def score(outputs, targets):
    return (outputs - targets).square().mean(1)
"""
TRAINS = """
def make_optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=1e-4)

def loss(model, x, targets):
    return score(model(x), targets).mean()
"""
LANGUAGE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.mix = nn.Embedding(11, {width}), nn.Linear({width}, {width})
    def forward(self, tokens):
        x = self.mix(self.table(tokens))
        means = x.cumsum(1) / torch.arange(1, x.shape[1] + 1)[:, None]
        {more}
        return means @ self.table.weight.T

def make_model():
    return Net()
"""
LANGUAGE_DATA = """
import torch
CAUSAL, UNIT = True, "nats"

def held_out():
    numbers = torch.Generator().manual_seed(5)
    for _ in range(3):
        text = torch.randint(0, 11, (8, 13), generator=numbers)
        yield text[:, :-1], text[:, 1:]

def score(outputs, targets):
    return torch.nn.functional.cross_entropy(outputs.transpose(1, 2), targets, reduction="none").mean(1)
"""
QUICK = ClaimSettings(margin=Margin(0.5), rounds=3, turns=3)


def regression(hidden, more="pass"):
    return REGRESSION.format(hidden=hidden, more=more)


def language(width, more="pass"):
    return LANGUAGE.format(width=width, more=more)


def folder_of(path, source, seeds=None):
    """A model folder with fresh weights, zero in the last layer so that every seed is as good as any other."""
    names = {}
    exec(source, names)
    models = {}
    for seed in seeds or [0]:
        torch.manual_seed(seed)
        models[seed] = names["make_model"]()
        if hasattr(models[seed], "second"):
            torch.nn.init.zeros_(models[seed].second.weight)
    write_folder(path, source, models if seeds else models[0])
    return path


def data_file(path, text=DATA):
    path.write_text(text)
    return path
