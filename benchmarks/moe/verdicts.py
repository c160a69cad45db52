"""What the rows say of each arm: its quality beside the reference's by the test of Assay's claims, and its costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from assay.claims.quality import LEVEL, Margin, Outcome, Quality, compare_quality
from assay.errors import InputError
from benchmarks.moe.plan import chosen_trial
from benchmarks.moe.record import Row
from benchmarks.moe.settings import Arm, Settings, Trial


@dataclass(frozen=True, slots=True)
class Finding:
    """One arm: the measured rows by seed, mean bits with their standard error, and the comparison.

    `quality` is None for the reference, and where fewer than two seeds of both are there; `bits` and `error` too where
    there are too few rows for them. A diverged run is a row without bits.
    """

    arm: Arm
    trial: Trial | None
    rows: tuple[Row, ...]
    bits: float | None
    error: float | None
    quality: Quality | None

    @property
    def diverged(self) -> int:
        """How many seeds have no bits."""
        return sum(row["bits"] is None for row in self.rows)

    def outcome(self, settings: Settings) -> Outcome | None:
        """What the test says; a run that diverged is inferior; None where nothing was compared."""
        if self.diverged:
            return Outcome.INFERIOR
        return self.quality.outcome(Margin(settings.margin_bits)) if self.quality is not None else None


def find(rows: Sequence[Row], experiment: str, settings: Settings) -> list[Finding]:
    """Every arm of an experiment, in the settings' order. Raises InputError for a confidence that the test has not."""
    if settings.confidence != LEVEL:
        raise InputError("the test has other limits", value=f"{settings.confidence:g}", rule=f"confidence is {LEVEL:g}")
    reference = settings.arm(settings.experiments[experiment].reference)
    held = _measured(rows, reference, settings)
    return [
        _finding(arm, _measured(rows, arm, settings), held, chosen_trial(rows, arm, settings), arm != reference)
        for arm in settings.arms
        if arm.experiment == experiment
    ]


def cheap(costs: Mapping[str, Any] | None, limit: float) -> bool | None:
    """Whether training and inference cost at most this share of the reference's, by their upper limits."""
    if costs is None:
        return None
    return all(costs[kind]["ratio"][2] <= limit for kind in ("training", "inference"))


def _measured(rows: Sequence[Row], arm: Arm, settings: Settings) -> dict[int, Row]:
    return {row["seed"]: row for row in rows if row["arm"] == arm.name and row["seed"] in settings.seeds}


def _finding(
    arm: Arm, mine: Mapping[int, Row], held: Mapping[int, Row], trial: Trial | None, compared: bool
) -> Finding:
    bits = [row["bits"] for row in mine.values() if row["bits"] is not None]
    error = float(np.std(bits, ddof=1)) / math.sqrt(len(bits)) if len(bits) > 1 else None
    pairs = [(held[seed], mine[seed]) for seed in mine if seed in held]
    pairs = [pair for pair in pairs if all(row["bits"] is not None for row in pair)]
    quality = None
    if compared and len(pairs) > 1:
        dense, sparse = (np.array([pair[side]["chunks"] for pair in pairs]) for side in (0, 1))
        margin = Margin(1.0)  # absolute: its value is asked for later
        quality = compare_quality(dense, sparse, np.arange(dense.shape[1]), margin)
    mean = float(np.mean(bits)) if bits else None
    return Finding(arm, trial, tuple(mine.values()), mean, error, quality)
