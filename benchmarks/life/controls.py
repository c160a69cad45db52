"""Are the masks tickets? The same masks over other values, and other masks, trained as long (Frankle and Carbin,
arXiv 1803.03635)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from benchmarks.life.instances import Instances
from benchmarks.life.pruning import Training
from benchmarks.life.record import Row
from benchmarks.life.tasks import OneStep

_OTHER_SEEDS = 1_000
"""Added to a seed where values are to be drawn anew."""


def try_controls(found: Training, seeds: Sequence[int], stage: str, rate: float, every: int) -> list[Row]:
    """A row for each arm: the found mask over the first values (rewound) and over others (reinitialised), and random
    masks over the first values, as large in all, or in every weight and bias. An arm has as many steps as pruning had
    in all, no L1, and is a success where it is exact at any look, once in `every` steps."""
    rng = torch.Generator().manual_seed(seeds[0])
    others = [seed + _OTHER_SEEDS for seed in seeds]
    arms = {
        "rewound": (seeds, found.masks),
        "reinitialised": (others, found.masks),
        "random mask": (seeds, _random_masks(found.masks, rng)),
        "random mask by layer": (seeds, [_shuffled(mask, rng) for mask in found.masks]),
    }
    rows = []
    for arm, (values, masks) in arms.items():
        exact = train_masked(Instances(found.instances.n, found.instances.m, values), masks, rate, found.done, every)
        rows.append({
            "name": f"{stage} {arm}", "stage": stage, "arm": arm, "exact": exact.tolist(), "steps": found.done,
        })  # fmt: skip
    return rows


def train_masked(instances: Instances, masks: list[Tensor], rate: float, steps: int, every: int) -> Tensor:
    """Which instances were exact at any look."""
    task = OneStep()
    training = Training(instances, task.loss, rate, 0.0)
    training.set_masks(masks)
    exact = torch.zeros(instances.count, dtype=torch.bool)
    while training.done < steps and not exact.all():
        training.run(min(every, steps - training.done))
        exact |= task.holds(instances)
    return exact


def _random_masks(masks: list[Tensor], rng: torch.Generator) -> list[Tensor]:
    flat = _shuffled(torch.cat([mask.flatten(1) for mask in masks], 1), rng)
    parts = torch.split(flat, [mask[0].numel() for mask in masks], 1)
    return [part.reshape(mask.shape) for part, mask in zip(parts, masks, strict=True)]


def _shuffled(mask: Tensor, rng: torch.Generator) -> Tensor:
    """As many, elsewhere, in each instance."""
    flat = mask.flatten(1)
    order = torch.rand(flat.shape, generator=rng).argsort(dim=1)
    return flat.gather(1, order).view(mask.shape)
