"""Which runs there are: a short sweep of optimisers on one seed for every arm, then the chosen one on fresh seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from benchmarks.moe.record import Row
from benchmarks.moe.settings import Arm, Settings, Trial
from benchmarks.moe.training import Run


def sweep_runs(arm: Arm, settings: Settings, hidden: int | None) -> list[Run]:
    """The runs that choose an arm's learning rate and second beta."""
    return [Run(arm.name, trial, settings.rate_seed, hidden) for trial in settings.sweep]


def chosen_trial(rows: Sequence[Row], arm: Arm, settings: Settings) -> Trial | None:
    """The one with the fewest bits on the text that chooses; None before all have run, or where all diverged."""
    bits = {
        Trial(row["rate"], row["beta2"]): _bits(row)
        for row in rows
        if row["arm"] == arm.name and row["seed"] == settings.rate_seed
    }
    if set(bits) != set(settings.sweep):
        return None
    best = min(bits, key=lambda trial: bits[trial])
    return best if math.isfinite(bits[best]) else None


def next_runs(rows: Sequence[Row], arms: Sequence[Arm], settings: Settings, matched: Mapping[str, int]) -> list[Run]:
    """What can run now: sweeps first, then seed by seed over all arms, so that pairs are whole early."""
    done, found = {row["name"] for row in rows}, []
    for arm in arms:
        found += sweep_runs(arm, settings, matched.get(arm.name))
    chosen = {arm.name: chosen_trial(rows, arm, settings) for arm in arms}
    for seed in settings.seeds:
        found += [
            Run(arm.name, trial, seed, matched.get(arm.name)) for arm in arms if (trial := chosen[arm.name]) is not None
        ]
    return [run for run in found if run.name not in done]


def total_runs(arms: Sequence[Arm], settings: Settings) -> int:
    """How many runs these arms need in all."""
    return len(arms) * (len(settings.sweep) + len(settings.seeds))


def _bits(row: Row) -> float:
    return math.inf if row["bits"] is None else float(row["bits"])
