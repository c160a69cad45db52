"""What the rows say: means and paired differences over seeds, with Student's t; and the target's verdict."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from assay.claims.quality import Outcome
from assay.referee.timing.student import student_quantile
from benchmarks.tickets.lines import (
    DENSE,
    DENSE_FALLING,
    DENSE_LONGER,
    FINE_TUNED,
    GRADUAL,
    ONCE,
    RANDOM,
    REINITIALISED,
    REWOUND,
    REWOUND_FALLING,
)
from benchmarks.tickets.settings import Settings

Row = Mapping[str, Any]

PRUNED = (REWOUND, REINITIALISED, RANDOM, FINE_TUNED)
"""The arms that have rows after every round; the others have them after the target's only."""
REFERENCES = {
    REWOUND: (DENSE,),
    REINITIALISED: (DENSE,),
    RANDOM: (DENSE,),
    FINE_TUNED: (DENSE, DENSE_LONGER),
    GRADUAL: (DENSE, DENSE_FALLING),
    REWOUND_FALLING: (DENSE, DENSE_FALLING),
}
"""What an arm must not be inferior to: where it has other steps or rates than dense, a dense one that has them too."""
DENSE_ARMS = (DENSE, DENSE_LONGER, DENSE_FALLING)
MEASURES = {"stopped": "at early stopping", "ended": "at the end"}


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over seeds, its two-sided interval, and its one-sided upper limit, both of the settings' confidence."""

    mean: float
    low: float
    high: float
    limit: float
    below: float
    seeds: int

    def outcome(self, margin: float) -> Outcome:
        """Of a loss of accuracy: is it within the margin?"""
        if self.limit <= margin:
            return Outcome.NOT_INFERIOR
        return Outcome.INFERIOR if self.below > margin else Outcome.UNDECIDED


def estimate(values: Sequence[float], confidence: float) -> Estimate | None:
    """None for fewer than two values: one seed says nothing about others."""
    if len(values) < 2:
        return None
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1)) / math.sqrt(len(values))
    both = student_quantile((1 + confidence) / 2, len(values) - 1) * error
    one = student_quantile(confidence, len(values) - 1) * error
    return Estimate(mean, mean - both, mean + both, mean + one, mean - one, len(values))


class Table:
    """All rows of one file of results, by arm, round and seed."""

    def __init__(self, lines: Mapping[str, Any], test_images: int, settings: Settings) -> None:
        self.settings, self._images = settings, test_images
        rows = [row for line in lines.values() for row in line["rows"]]
        self._rows: dict[tuple[str, int], dict[int, Row]] = {}
        for row in rows:
            self._rows.setdefault((row["arm"], row["round"]), {})[row["seed"]] = row

    def rows(self, arm: str, round_: int) -> dict[int, Row]:
        """By seed; those of an arm that is trained once, before the first round, stand for every round."""
        return self._rows.get((arm, 0 if arm in ONCE else round_), {})

    def value(self, arm: str, round_: int, measure: str) -> Estimate | None:
        """Test accuracy as a share, or the early-stopping step."""
        return estimate([self._one(row, measure) for row in self.rows(arm, round_).values()], self.settings.confidence)

    def loss(self, arm: str, round_: int, measure: str, reference: str = DENSE) -> Estimate | None:
        """By how much an arm is below a reference of the same seeds."""
        mine, theirs = self.rows(arm, round_), self.rows(reference, round_)
        pairs = [self._one(theirs[s], measure) - self._one(mine[s], measure) for s in sorted(mine.keys() & theirs)]
        return estimate(pairs, self.settings.confidence)

    def losses(self, arm: str, round_: int) -> Iterator[tuple[str, str, Estimate]]:
        """Reference, measure and estimate, of all that an arm must not be inferior in."""
        for reference in REFERENCES[arm]:
            for measure in MEASURES:
                if (found := self.loss(arm, round_, measure, reference)) is not None:
                    yield reference, measure, found

    def best_dense(self, round_: int) -> str | None:
        """The dense network of the highest mean accuracy at early stopping, trained at whatever rates."""
        found = {arm: each for arm in DENSE_ARMS if (each := self.value(arm, round_, "stopped")) is not None}
        return max(found, key=lambda arm: found[arm].mean) if found else None

    def outcome(self, arm: str, round_: int, measures: Sequence[str] = tuple(MEASURES)) -> Outcome | None:
        """Not inferior where it is so to every reference in every measure, inferior where it is in any; None where one
        of these is not there yet."""
        losses = [each for each in self.losses(arm, round_) if each[1] in measures]
        if len(losses) < len(REFERENCES[arm]) * len(measures):
            return None
        found = {each.outcome(self.settings.margin) for _, _, each in losses}
        if found == {Outcome.NOT_INFERIOR}:
            return Outcome.NOT_INFERIOR
        return Outcome.INFERIOR if Outcome.INFERIOR in found else Outcome.UNDECIDED

    def _one(self, row: Row, measure: str) -> float:
        return float(row[measure]) if measure == "step" else row[measure] / self._images
