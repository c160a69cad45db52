"""Is the cheap model as good? Non-inferiority within a margin that was fixed before anything was measured.

Losses are paired: the same held-out examples, and seed by seed. With several seeds the unit is the seed, and the limit
is Student's t over their mean differences: it covers the noise of training, on these held-out examples. With one seed
the unit is the held-out batch (examples of one batch may depend on each other), and the limit is a cluster-robust one
(Liang and Zeger, Biometrika 1986) with Student's t over the batches: it covers other held-out examples, and no noise of
training. A relative difference is a ratio of means, linearised around the dense model's (the delta method).

Both ends are one-sided 95 % limits: not inferior where the upper one is at most the margin, inferior where the lower
one is above it, undecided otherwise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from assay.errors import InputError
from assay.referee.timing.samples import Floats, Ints
from assay.referee.timing.student import student_quantile

LEVEL = 0.95
"""Of each one-sided limit: a model that is exactly the margin worse is accepted one time in twenty."""


class Outcome(Enum):
    """What the losses say."""

    NOT_INFERIOR = "not-inferior"
    """Worse by less than the margin, if at all."""
    INFERIOR = "inferior"
    """Worse by more than the margin."""
    UNDECIDED = "undecided"
    """The limits lie on both sides of the margin."""


@dataclass(frozen=True, slots=True)
class Margin:
    """How much worse still counts as as good: in the score's unit, or as a share of the dense model's mean loss.

    Raises InputError for one that is not positive, or for a share of 1 and above.
    """

    value: float
    relative: bool = False

    def __post_init__(self) -> None:
        if not self.value > 0 or not math.isfinite(self.value) or (self.relative and self.value >= 1):
            raise InputError("this margin decides nothing", value=str(self), rule="above 0; as a share, below 100 %")

    @classmethod
    def parse(cls, text: str) -> Margin:
        """`0.02`, in the score's unit, or `1%`. Raises InputError for anything else."""
        number, relative = (text[:-1], True) if text.endswith("%") else (text, False)
        try:
            value = float(number)
        except ValueError as error:
            raise InputError("not a margin", value=text[:100], rule="a number such as 0.02, or a share: 1%") from error
        return cls(value / 100 if relative else value, relative)

    def __str__(self) -> str:
        return f"{self.value:.6g}" if not self.relative else f"{100 * self.value:.6g}%"


@dataclass(frozen=True, slots=True)
class Quality:
    """The two models' mean losses, and the difference (cheap less dense, in the margin's unit) with both limits.

    `units` are what the limits were computed over: seeds, or batches where there is one seed.
    """

    dense: float
    cheap: float
    difference: float
    lower: float
    upper: float
    units: int
    seeds: int
    examples: int

    def outcome(self, margin: Margin) -> Outcome:
        """What this says about a margin."""
        if self.upper <= margin.value:
            return Outcome.NOT_INFERIOR
        return Outcome.INFERIOR if self.lower > margin.value else Outcome.UNDECIDED

    def to_json(self) -> dict[str, Any]:
        """A plain mapping for certificates."""
        return {name: getattr(self, name) for name in self.__slots__}


def compare_quality(dense: ArrayLike, cheap: ArrayLike, batch: ArrayLike, margin: Margin) -> Quality:
    """Both limits of the difference.

    Args:
        dense, cheap: float[seeds, examples], losses, lower is better.
        batch: int[examples], which held-out batch an example is of.
        margin: decides only whether differences are relative.

    Raises InputError for losses that cannot be compared: fewer than two examples, one seed and one batch, a relative
    margin with a mean loss that is not positive; ValueError for other shapes and for losses that are not finite.
    """
    ours, theirs = (np.asarray(side, dtype=np.float64) for side in (cheap, dense))
    clusters = np.asarray(batch, dtype=np.int64)
    if ours.ndim != 2 or ours.shape != theirs.shape or clusters.shape != ours.shape[1:] or 0 in ours.shape:
        raise ValueError(f"losses of shapes {theirs.shape} and {ours.shape}, batches of {clusters.shape}")
    if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        raise ValueError("losses that are not finite cannot be compared")
    seeds, examples = ours.shape
    if examples < 2:
        raise InputError(
            "one held-out example decides nothing", rule="two at least", next_step="give more held-out data"
        )
    scales = theirs.mean(axis=1) if margin.relative else np.ones(seeds)
    if not (scales > 0).all():
        raise InputError(
            "these losses have no relative difference", value=f"mean loss {scales.min():.6g}",
            rule="a relative margin needs a positive mean", next_step="give the margin in the score's unit",
        )  # fmt: skip
    differences = (ours - theirs).mean(axis=1) / scales
    if seeds > 1:
        error, units = float(differences.std(ddof=1)) / math.sqrt(seeds), seeds
    else:
        weight = theirs[0] if margin.relative else np.ones(examples)
        error, units = _clustered_error(ours[0] - theirs[0], weight, clusters)
    middle = float(differences.mean())
    reach = student_quantile(LEVEL, units - 1) * error
    return Quality(float(theirs.mean()), float(ours.mean()), middle, middle - reach, middle + reach, units, seeds,
                   examples)  # fmt: skip


def _clustered_error(difference: Floats, weight: Floats, batch: Ints) -> tuple[float, int]:
    """The standard error of sum(difference) / sum(weight) where batches are independent, and how many there are."""
    batches, member = np.unique(batch, return_inverse=True)
    count = len(batches)
    if count < 2:
        raise InputError("one seed and one held-out batch decide nothing", rule="two batches, or two seeds, at least",
                         next_step="give more held-out batches")  # fmt: skip
    residual = difference - weight * (difference.sum() / weight.sum())
    of_batches = np.bincount(member, weights=residual)
    return math.sqrt(count / (count - 1) * float(np.square(of_batches).sum())) / float(weight.sum()), count
