"""Which runs there are: a sweep of learning rates on one seed for every arm, then the chosen rate on fresh seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from benchmarks.moe.record import Row
from benchmarks.moe.settings import Arm, Settings
from benchmarks.moe.training import Run


def rate_runs(arm: Arm, settings: Settings, hidden: int | None) -> list[Run]:
    """The runs that choose an arm's learning rate."""
    return [Run(arm.name, rate, settings.rate_seed, hidden) for rate in settings.rates]


def chosen_rate(rows: Sequence[Row], arm: Arm, settings: Settings) -> float | None:
    """The rate with the fewest bits on the text that chooses; None before all have run, or where all diverged."""
    bits = {row["rate"]: _bits(row) for row in rows if row["arm"] == arm.name and row["seed"] == settings.rate_seed}
    if set(bits) != set(settings.rates):
        return None
    best = min(bits, key=lambda rate: bits[rate])
    return best if math.isfinite(bits[best]) else None


def next_runs(rows: Sequence[Row], arms: Sequence[Arm], settings: Settings, matched: Mapping[str, int]) -> list[Run]:
    """What can run now: learning rates first, then seed by seed over all arms, so that pairs are whole early."""
    done, found = {row["name"] for row in rows}, []
    for arm in arms:
        found += rate_runs(arm, settings, matched.get(arm.name))
    rates = {arm.name: chosen_rate(rows, arm, settings) for arm in arms}
    for seed in settings.seeds:
        found += [
            Run(arm.name, rate, seed, matched.get(arm.name)) for arm in arms if (rate := rates[arm.name]) is not None
        ]
    return [run for run in found if run.name not in done]


def total_runs(arms: Sequence[Arm], settings: Settings) -> int:
    """How many runs these arms need in all."""
    return len(arms) * (len(settings.rates) + len(settings.seeds))


def _bits(row: Row) -> float:
    return math.inf if row["bits"] is None else float(row["bits"])
