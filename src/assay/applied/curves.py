"""Does it still learn as well? Loss curves with and without certified kernels, and a test of non-inferiority.

For every seed both sides start from the same parameters and see the same batches. A seed's score is the mean loss over
the last tenth of the steps. The kernels are not inferior where the one-sided 95 % limit of the mean relative difference
(Student's t over seeds) lies below a margin that was fixed before the first step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from assay.errors import InputError
from assay.referee.timing.student import student_quantile

_LAST = 0.1
_LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class LearningConfig:
    """How loss curves are compared. `margin` is relative, and fixed before the first step.

    Raises InputError for settings that decide nothing.
    """

    steps: int = 300
    seeds: int = 5
    margin: float = 0.01

    def __post_init__(self) -> None:
        if self.steps < 10 or self.seeds < 2 or not 0 < self.margin < 1:
            raise InputError(
                "these loss curves decide nothing", value=f"{self.steps} steps, {self.seeds} seeds, {self.margin:g}",
                rule="10 steps and 2 seeds at least, a margin between 0 and 1",
            )  # fmt: skip


Side = Callable[[int], Callable[[Sequence[Any]], Any]]
"""From a seed to a step: a function of a batch that trains and returns the loss."""


@dataclass(frozen=True, slots=True)
class Curves:
    """Losses [seeds, steps] of both sides, and what the test says. Differences are relative to the original's loss."""

    original: list[list[float]]
    applied: list[list[float]]
    margin: float
    difference: float
    limit: float

    @property
    def not_inferior(self) -> bool:
        """Whether the margin holds."""
        return bool(self.limit <= self.margin)

    def to_json(self) -> dict[str, Any]:
        """A plain mapping."""
        return {"original": self.original, "applied": self.applied, "margin": self.margin,
                "difference": self.difference, "limit": self.limit, "not_inferior": self.not_inferior}  # fmt: skip


def train_both(
    original: Side, applied: Side, get_batch: Callable[[int], Sequence[Any]], learning: LearningConfig,
    progress: Callable[[str, float], None],
) -> Curves:  # fmt: skip
    """Train `learning.seeds` times `learning.steps` steps on each side, in turns."""
    steps, seeds = learning.steps, learning.seeds
    losses: tuple[list[list[float]], list[list[float]]] = ([], [])
    for seed in range(seeds):
        sides = original(seed), applied(seed)
        for curves in losses:
            curves.append([])
        for number in range(steps):
            batch = get_batch(seed * steps + number)
            for side, curves in zip(sides, losses, strict=True):
                curves[-1].append(float(side(batch)))
            progress("comparing loss curves", (seed * steps + number + 1) / (seeds * steps))
    return judge_curves(losses[0], losses[1], learning.margin)


def judge_curves(original: list[list[float]], applied: list[list[float]], margin: float) -> Curves:
    """The test on losses [seeds, steps]. Two seeds at least; a loss that is not finite is inferior."""
    last = max(round(_LAST * len(original[0])), 1)
    ours, theirs = (np.asarray(side)[:, -last:].mean(axis=1) for side in (applied, original))
    relative = (ours - theirs) / np.abs(theirs)
    if not np.isfinite(relative).all():
        return Curves(original, applied, margin, float("nan"), float("inf"))
    spread = float(relative.std(ddof=1)) / float(np.sqrt(len(relative)))
    limit = float(relative.mean()) + student_quantile(_LEVEL, len(relative) - 1) * spread
    return Curves(original, applied, margin, float(relative.mean()), limit)
