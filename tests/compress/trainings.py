"""Tiny trainings for tests of assay compress."""

TRAINING = """
import torch
from torch import nn


class FeedForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(40, 64), nn.Linear(64, 40)

    def forward(self, x):
        return self.down(nn.functional.gelu(self.up(x)))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.feed_forward, self.head = nn.Linear(32, 40), FeedForward(), nn.Linear(40, 4)

    def forward(self, x):
        x = torch.relu(self.first(x))
        return self.head(x + self.feed_forward(x))


def make_model():
    return Net()


def make_optimizer(model):
    return torch.optim.AdamW(model.parameters(), lr=3e-3)


def loss(model, x, targets):
    return nn.functional.mse_loss(model(x), targets)


def get_batch(number):
    drawing = torch.Generator().manual_seed(number)
    x = torch.randn(32, 32, generator=drawing)
    return x, x[:, :4].sin()
"""

JUDGED = (
    TRAINING
    + """

def held_out():
    return [get_batch(5000 + number) for number in range(4)]


def score(outputs, targets):
    return (outputs - targets).square().mean(1)
"""
)


def write(folder, text=TRAINING, name="tiny_training.py"):
    path = folder / name
    path.write_text(text)
    return path
