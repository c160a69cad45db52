"""Images that a small network learns in a few steps: a pattern for each class, under noise."""

import dataclasses

import torch

from benchmarks.tickets.images import Part, split
from benchmarks.tickets.settings import load_settings, quick

SETTINGS = dataclasses.replace(
    quick(load_settings()), layers=(64, 24, 16, 10),
    images=dataclasses.replace(load_settings().images, validation=200),
    training=dataclasses.replace(load_settings().training, rate=0.01, batch=40, steps=60, evaluate_every=10),
)  # fmt: skip


def load(settings):
    """1,000 images that train or decide when to stop, and 300 that test."""
    drawing = torch.Generator().manual_seed(7)
    patterns = torch.randn(10, settings.layers[0], generator=drawing)

    def some(count):
        labels = torch.randint(10, (count,), generator=drawing)
        return Part(patterns[labels] + 0.7 * torch.randn(count, settings.layers[0], generator=drawing), labels)

    return split(some(1000), some(300), settings)
