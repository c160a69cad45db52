"""How a model is judged, and what is claimed of it: one frozen object, fixed before anything is measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from assay.claims.quality import Margin
from assay.errors import InputError


class Cost(Enum):
    """What a model can be cheaper in. Each may be claimed; those that are not are measured all the same."""

    LATENCY = "latency"
    """Time of one example alone."""
    THROUGHPUT = "throughput"
    """Time of a held-out batch."""
    TRAINING = "training"
    """Time of a step: forward, backward, optimiser."""
    MEMORY = "memory"
    """Most memory that a process takes while it answers held-out batches, its model included."""
    SIZE = "size"
    """Bytes of the weights' file."""


_NUMBERS = ("at_most", "rounds", "turns", "threads", "memory_bytes", "call_timeout_s")


@dataclass(frozen=True, slots=True)
class ClaimSettings:
    """Settings of one judgement.

    Args:
        margin: how much worse still counts as as good.
        costs: what is claimed to be cheaper.
        at_most: the share of the dense model's cost that is claimed.
        rounds: fresh processes of each model; no fewer than there are seeds.
        turns: timed calls of each kind in a round; a round that goes through all held-out data has more or fewer.
        threads: granted to both models; with one, time is CPU time.
        seeds: which to judge; None for all that the folders hold.
        memory_bytes: address space of a model's process; 0 for half of what is available.
        call_timeout_s: what one call may take.

    Raises InputError for settings that decide nothing.
    """

    margin: Margin = field(default_factory=lambda: Margin(0.02))
    costs: tuple[Cost, ...] = (Cost.THROUGHPUT,)
    at_most: float = 1.0
    rounds: int = 6
    turns: int = 12
    threads: int = 1
    seeds: tuple[int, ...] | None = None
    memory_bytes: int = 0
    call_timeout_s: float = 120.0

    def __post_init__(self) -> None:
        if not self.costs or len(set(self.costs)) != len(self.costs):
            raise InputError("no cost, or one twice, is claimed", rule=f"any of {', '.join(c.value for c in Cost)}")
        if not 0 < self.at_most <= 1:
            raise InputError(
                "this share of the cost is no saving", value=f"{self.at_most:g}", rule="above 0, at most 1"
            )
        if (
            self.rounds < 3
            or self.turns < 2
            or self.threads < 1
            or not self.call_timeout_s > 0
            or self.memory_bytes < 0
        ):
            raise InputError(
                "these settings decide nothing",
                value=f"{self.rounds} rounds, {self.turns} turns, {self.threads} threads, {self.call_timeout_s:g} s",
                rule="3 rounds, 2 turns and 1 thread at least, and some time for a call",
            )
        if self.seeds is not None and (not self.seeds or len(set(self.seeds)) != len(self.seeds)):
            raise InputError("no seed, or one twice, is to be judged", value=str(list(self.seeds)))

    def to_json(self) -> dict[str, Any]:
        """A plain mapping for certificates."""
        return {
            "margin": str(self.margin), "costs": [cost.value for cost in self.costs], "at_most": self.at_most,
            "rounds": self.rounds, "turns": self.turns, "threads": self.threads,
            "seeds": None if self.seeds is None else list(self.seeds), "memory_bytes": self.memory_bytes,
            "call_timeout_s": self.call_timeout_s,
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ClaimSettings:
        """The inverse of `to_json`; raises InputError, KeyError, TypeError or ValueError for anything else."""
        seeds = data["seeds"]
        return cls(
            margin=Margin.parse(data["margin"]), costs=tuple(Cost(name) for name in data["costs"]),
            seeds=None if seeds is None else tuple(int(seed) for seed in seeds),
            **{name: data[name] for name in _NUMBERS},
        )  # fmt: skip


def parse_costs(text: str) -> tuple[Cost, ...]:
    """`latency,throughput`. Raises InputError for a name that is none."""
    return tuple(_cost(name.strip()) for name in text.split(","))


def parse_seeds(text: str) -> tuple[int, ...]:
    """`0,1,2`. Raises InputError for anything else."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise InputError("these are no seeds", value=text[:100], rule="whole numbers with commas: 0,1,2") from error


def _cost(name: str) -> Cost:
    known: Iterable[str] = [cost.value for cost in Cost]
    if name not in known:
        raise InputError("there is no such cost", value=name[:100], rule=f"one of: {', '.join(known)}")
    return Cost(name)
