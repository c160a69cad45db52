"""What is trained and how: `frozen.toml`, read and checked; its identity stands in every file of results."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from assay.core.identity import identity
from assay.errors import InputError

FROZEN = Path(__file__).with_name("frozen.toml")


@dataclass(frozen=True, slots=True)
class Images:
    """How many of the training images are for validation, and the seed that draws them."""

    split_seed: int
    validation: int


@dataclass(frozen=True, slots=True)
class Training:
    """Every training from initial weights; `evaluate_every` divides `steps`."""

    rate: float
    batch: int
    steps: int
    evaluate_every: int


@dataclass(frozen=True, slots=True)
class Pruning:
    """Shares of what is left that go in a round, of the output layer and of every other."""

    share: float
    output_share: float
    rounds: int


@dataclass(frozen=True, slots=True)
class FineTuning:
    """Training on after a round: its steps, and the share of the rate at which it ends."""

    steps: int
    last_rate: float


@dataclass(frozen=True, slots=True)
class Gradual:
    """Pruning within one training: its steps, the rate's last share, and at which steps weights go."""

    steps: int
    last_rate: float
    begin: int
    end: int
    every: int


@dataclass(frozen=True, slots=True)
class Settings:
    """All of it. Raises InputError for values that train, prune or compare nothing."""

    beforehand: str
    margin: float
    confidence: float
    target_removed: float
    seeds: tuple[int, ...]
    layers: tuple[int, ...]
    images: Images
    training: Training
    pruning: Pruning
    fine_tuning: FineTuning
    gradual: Gradual

    def __post_init__(self) -> None:
        every, gradual = self.training.evaluate_every, self.gradual
        lengths = (self.training.steps, self.fine_tuning.steps, gradual.steps)
        rules = {
            "two seeds or more, none twice": len(set(self.seeds)) == len(self.seeds) > 1,
            "evaluate_every divides the steps of every training": every > 0
            and all(steps > 0 and steps % every == 0 for steps in lengths),
            "gradual pruning begins and ends with a step at which weights go, a look before the end": gradual.every > 0
            and all(step % gradual.every == 0 for step in (gradual.begin, gradual.end))
            and 0 <= gradual.begin < gradual.end <= gradual.steps - every,
            "shares between 0 and 1": 0 < self.pruning.output_share < 1 and 0 < self.pruning.share < 1,
            "two layers or more": len(self.layers) > 2,
        }
        for rule, kept in rules.items():
            if not kept:
                raise InputError("these settings cannot be run", value=str(self)[-300:], rule=rule)
        _ = self.target_round

    @property
    def identity(self) -> str:
        """sha256 over every setting."""
        return identity(dataclasses.asdict(self))

    def kept(self, round_: int) -> tuple[int, ...]:
        """How many weights each layer keeps after so many rounds."""
        sizes = [inputs * outputs for inputs, outputs in pairwise(self.layers)]
        shares = [self.pruning.share] * (len(sizes) - 1) + [self.pruning.output_share]
        return tuple(round(size * (1 - share) ** round_) for size, share in zip(sizes, shares, strict=True))

    def remaining(self, round_: int) -> float:
        """The share of all weights that is left after so many rounds."""
        return sum(self.kept(round_)) / sum(self.kept(0))

    @property
    def target_round(self) -> int:
        """The first round after which the target's share of the weights is gone. Raises InputError where none is."""
        rounds = range(1, self.pruning.rounds + 1)
        found = next((each for each in rounds if self.remaining(each) <= 1 - self.target_removed), None)
        if found is None:
            raise InputError(
                "no round removes as many weights", value=f"{self.target_removed:g}", next_step="add rounds"
            )
        return found


def load_settings(path: Path = FROZEN) -> Settings:
    """The frozen file. Raises InputError for names that it should not hold."""
    data: dict[str, Any] = tomllib.loads(path.read_text())
    try:
        return Settings(
            seeds=tuple(data.pop("seeds")),
            layers=tuple(data.pop("layers")),
            images=Images(**data.pop("images")),
            training=Training(**data.pop("training")),
            pruning=Pruning(**data.pop("pruning")),
            fine_tuning=FineTuning(**data.pop("fine_tuning")),
            gradual=Gradual(**data.pop("gradual")),
            **data,
        )
    except (TypeError, KeyError) as error:
        raise InputError("the settings are not complete", value=f"{path.name}: {error}") from error


def quick(settings: Settings) -> Settings:
    """The same arms with almost no training: shows that everything runs, and nothing else."""
    return dataclasses.replace(
        settings, seeds=settings.seeds[:2], target_removed=0.5,
        training=dataclasses.replace(settings.training, steps=20, evaluate_every=10),
        pruning=dataclasses.replace(settings.pruning, rounds=2),
        fine_tuning=dataclasses.replace(settings.fine_tuning, steps=10),
        gradual=dataclasses.replace(settings.gradual, steps=40, begin=4, end=20, every=4),
    )  # fmt: skip
