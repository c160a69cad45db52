"""What is compared and how: `frozen.toml`, or what comes `again`; its identity stands in every file of results."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core.identity import identity
from assay.errors import InputError

FROZEN, AGAIN = (Path(__file__).with_name(f"{name}.toml") for name in ("frozen", "again"))


@dataclass(frozen=True, slots=True, order=True)
class Trial:
    """What is chosen for every arm by itself: AdamW's learning rate and its second beta."""

    rate: float
    beta2: float

    def __str__(self) -> str:
        return f"rate {self.rate:g}, beta2 {self.beta2:g}"


@dataclass(frozen=True, slots=True)
class Training:
    """How every arm is trained; `warm_up` is a share of the steps."""

    warm_up: float
    beta1: float
    weight_decay: float
    clip_norm: float
    router_aux_loss_coef: float
    router_z_loss_coef: float


@dataclass(frozen=True, slots=True)
class Experiment:
    """Arms that differ in their feed-forward only, the arm that they are held against, and what they may cost."""

    reference: str
    cost_limit: float
    width: int
    layers: int
    heads: int
    context: int
    batch: int
    steps: int


@dataclass(frozen=True, slots=True)
class Arm:
    """A feed-forward: dense, of `experts` of which `chosen` work for a token, or block-sparse where `sparsity` is set.

    `hidden` counts the units of the dense layer or of one expert; a block-sparse arm has None, since its units are
    chosen by measured cost.
    """

    name: str
    experiment: str
    hidden: int | None = None
    experts: int = 0
    chosen: int = 0
    renormalised: bool = True
    sparsity: float = 0.0
    block: int = 0


@dataclass(frozen=True, slots=True)
class Settings:
    """All of it. Raises InputError where an arm belongs to no experiment or an experiment lacks its reference."""

    beforehand: str
    margin_bits: float
    confidence: float
    seeds: tuple[int, ...]
    rate_seed: int
    sweep: tuple[Trial, ...]
    sweep_share: float
    chunk_bytes: int
    held_out_every: int
    training: Training
    experiments: Mapping[str, Experiment]
    arms: tuple[Arm, ...]

    def __post_init__(self) -> None:
        for name, experiment in self.experiments.items():
            names = [arm.name for arm in self.arms if arm.experiment == name]
            if experiment.reference not in names or self.rate_seed in self.seeds:
                raise InputError(
                    "these settings compare nothing",
                    value=f"experiment {name}, reference {experiment.reference}, rate seed {self.rate_seed}",
                    rule="the reference is an arm of its experiment, and no compared seed has chosen the optimiser",
                )

    @property
    def identity(self) -> str:
        """sha256 over every setting."""
        return identity(dataclasses.asdict(self))

    def arm(self, name: str) -> Arm:
        """By name. Raises InputError for an unknown one."""
        found = {arm.name: arm for arm in self.arms}
        if name not in found:
            raise InputError("there is no such arm", value=name, rule=f"one of {', '.join(found)}")
        return found[name]

    def of(self, arm: Arm) -> Experiment:
        """The experiment of an arm."""
        return self.experiments[arm.experiment]


def load_settings(path: Path = FROZEN) -> Settings:
    """The frozen file. Raises InputError for names that it should not hold."""
    data: dict[str, Any] = tomllib.loads(path.read_text())
    try:
        training = data.pop("training")
        return Settings(
            seeds=tuple(data.pop("seeds")),
            sweep=tuple(Trial(**values) for values in data.pop("sweep")),
            training=Training(**training),
            experiments={name: Experiment(**values) for name, values in data.pop("experiments").items()},
            arms=tuple(Arm(**values) for values in data.pop("arms")),
            **data.pop("text"),
            **data,
        )
    except (TypeError, KeyError) as error:
        raise InputError("the settings are not complete", value=f"{path.name}: {error}") from error


def quick(settings: Settings) -> Settings:
    """The same arms with almost no training: shows that everything runs, and nothing else."""
    small = {
        name: dataclasses.replace(each, batch=2, steps=4, context=32) for name, each in settings.experiments.items()
    }
    return dataclasses.replace(
        settings, seeds=settings.seeds[:2], sweep=settings.sweep[1:2], chunk_bytes=1024, held_out_every=4,
        experiments=small,
    )  # fmt: skip
