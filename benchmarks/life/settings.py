"""What is tried and how; the identity of all of it stands in every file of results."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import Enum

from assay.core.identity import identity
from benchmarks.life.pruning import Schedule


class Supervision(Enum):
    """What a network is told while it trains, and what it must fulfil in every round of pruning."""

    PATCHES = "patches"
    """One step: the outcome of all 512 patches; right on all."""
    BOARDS = "boards"
    """Two steps: the outcome of random boards and of patches that it was wrong on; right on all 2^25 patches."""
    STEP_BY_STEP = "step by step"
    """Any number: the outcome of every step; proved exact by composition."""


@dataclass(frozen=True, slots=True)
class Success:
    """Instances of LifeNetwork(n, m) with seeds from 0, each trained for `steps` and looked at every `every`."""

    n: int
    m: int
    instances: int
    steps: int
    every: int
    rate: float

    @property
    def name(self) -> str:
        """As its row is called."""
        return f"n{self.n}-m{self.m}"


@dataclass(frozen=True, slots=True)
class Pruning:
    """Networks that are trained densely, for `dense_steps` at most, and pruned: `schedule` to a tenth, then `further`
    rounds to as little as holds. Seeds are trained `together` or each alone."""

    name: str
    supervision: Supervision
    n: int
    m: int
    seeds: tuple[int, ...]
    together: bool
    dense_steps: int
    schedule: Schedule
    further: int
    side: int = 0


@dataclass(frozen=True, slots=True)
class Settings:
    """All of it; `tenth` is the share of parameters that may be left."""

    success: tuple[Success, ...]
    pruning: tuple[Pruning, ...]
    tenth: float = 0.10
    control_every: int = 250

    @property
    def identity(self) -> str:
        """sha256 over every setting."""
        data = dataclasses.asdict(self)
        for each in data["pruning"]:
            each["supervision"] = each["supervision"].value
        return identity(data)


def full() -> Settings:
    """What the published results are made with."""
    one = [Success(1, m, 64, 5000, 250, 5e-3) for m in range(1, 9)]
    two = [Success(2, m, 32, 5000, 500, 5e-3) for m in (1, 2, 3, 4, 5, 6, 8)]
    three = [Success(3, m, 8, 5000, 500, 5e-3) for m in (4, 8)]
    return Settings(
        success=(*one, *two, *three),
        pruning=(
            Pruning(
                "one-step", Supervision.PATCHES, 1, 16, tuple(range(10)), True, 3000,
                Schedule(rounds=60, steps=300, tries=1, share=0.2, l1=1e-4, rate=1e-2), 20,
            ),
            Pruning(
                "two-steps", Supervision.BOARDS, 2, 12, tuple(range(4)), False, 8000,
                Schedule(rounds=30, steps=500, tries=4, share=0.2, l1=1e-4, rate=5e-3), 4, 64,
            ),
            Pruning(
                "two-steps-narrow", Supervision.BOARDS, 2, 8, (0, 1, 2), False, 8000,
                Schedule(rounds=30, steps=500, tries=4, share=0.2, l1=1e-4, rate=5e-3), 4, 64,
            ),
            Pruning(
                "two-steps-told", Supervision.STEP_BY_STEP, 2, 12, tuple(range(3)), True, 10_000,
                Schedule(rounds=60, steps=300, tries=2, share=0.2, l1=1e-4, rate=5e-3), 20,
            ),
            Pruning(
                "three-steps-told", Supervision.STEP_BY_STEP, 3, 16, tuple(range(3)), True, 10_000,
                Schedule(rounds=60, steps=300, tries=2, share=0.2, l1=1e-4, rate=3e-3), 20,
            ),
        ),
    )  # fmt: skip


def quick() -> Settings:
    """The same ways with almost no training: shows that everything runs, and nothing else."""
    settings = full()
    success = [
        dataclasses.replace(each, m=2, instances=2, steps=4, every=2)
        for each in (settings.success[0], settings.success[8])
    ]
    pruning = [
        dataclasses.replace(
            each, m=4, seeds=each.seeds[:2], dense_steps=20, further=1, side=16,
            schedule=dataclasses.replace(each.schedule, rounds=2, steps=5, tries=1),
        )
        for each in settings.pruning
    ]  # fmt: skip
    return dataclasses.replace(settings, success=tuple(success), pruning=tuple(pruning), control_every=5)
