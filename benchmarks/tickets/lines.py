"""The two lines of a seed: tickets, rewound after every round, beside their controls; and fine-tuning beside dense.

Every training of a round sees the images in the same order, another one in every round, so that arms are compared in
pairs and a mask was not found under the very noise that it is tried under.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from assay.prune import Mask, apply_mask, full_mask
from benchmarks.tickets.images import Parts
from benchmarks.tickets.network import copy_of, make_network, prune_round, random_mask, seed_for
from benchmarks.tickets.settings import Settings
from benchmarks.tickets.training import train

Row = dict[str, Any]
Say = Callable[[str], None]

DENSE, REWOUND, REINITIALISED, RANDOM = "dense", "rewound", "reinitialised", "random mask"
FINE_TUNED, DENSE_LONGER = "fine-tuned", "dense, trained on"


@dataclass(frozen=True, slots=True)
class Run:
    """One line of one seed: what is kept once it is done, and begun again where it was interrupted."""

    seed: int
    line: str

    @property
    def name(self) -> str:
        """What the record calls it."""
        return f"seed {self.seed}, {self.line}"


def tickets(seed: int, parts: Parts, settings: Settings, say: Say) -> list[Row]:
    """Dense; then in every round the ticket, the same mask with new weights, and a random mask with the same weights.

    The ticket is what iterative magnitude pruning finds (Frankle and Carbin, arXiv 1803.03635, section 1): the trained
    network's smallest weights go, those that stay are set back to their initial values and trained again.
    """
    arms = _Arms(seed, parts, settings, say)
    start = make_network(settings, seed_for(seed, "weights"))
    network, mask = copy_of(start), full_mask(start)
    arms.train(DENSE, 0, network, mask)
    for round_ in range(1, settings.pruning.rounds + 1):
        mask = prune_round(network, mask, settings, round_)
        network = copy_of(start)
        arms.train(REWOUND, round_, network, mask)
        arms.train(REINITIALISED, round_, make_network(settings, seed_for(seed, "new weights", round_)), mask)
        chance = random_mask(start, settings, round_, seed_for(seed, "mask", round_))
        arms.train(RANDOM, round_, copy_of(start), chance)
    return arms.rows


def fine_tuning(seed: int, parts: Parts, settings: Settings, say: Say) -> list[Row]:
    """In every round the smallest weights go and the others are trained on; dense is trained on for as long, alike."""
    arms = _Arms(seed, parts, settings, say)
    dense = make_network(settings, seed_for(seed, "weights"))
    everything = full_mask(dense)
    arms.train(DENSE, 0, dense, everything)
    arms.rows.clear()  # the same training as the tickets' line has
    network, mask = copy_of(dense), everything
    for round_ in range(1, settings.pruning.rounds + 1):
        mask = prune_round(network, mask, settings, round_)
        arms.fine_tune(FINE_TUNED, round_, network, mask)
        arms.fine_tune(DENSE_LONGER, round_, dense, everything)
    return arms.rows


LINES: dict[str, Callable[[int, Parts, Settings, Say], list[Row]]] = {"tickets": tickets, "fine-tuning": fine_tuning}


class _Arms:
    """Trains what it is given and keeps a row of it."""

    def __init__(self, seed: int, parts: Parts, settings: Settings, say: Say) -> None:
        self._seed, self._parts, self._settings, self._say = seed, parts, settings, say
        self.rows: list[Row] = []

    def train(self, arm: str, round_: int, network: nn.Sequential, mask: Mask) -> None:
        """From what the network's weights are now, at a constant rate."""
        self._add(arm, round_, network, mask, self._settings.training.steps, 1.0)

    def fine_tune(self, arm: str, round_: int, network: nn.Sequential, mask: Mask) -> None:
        """From where training has ended, at a rate that falls."""
        shape = self._settings.fine_tuning
        self._add(arm, round_, network, mask, shape.steps, shape.last_rate)

    def _add(
        self, arm: str, round_: int, network: nn.Sequential, mask: Mask, steps: int, last_rate: float
    ) -> None:  # fmt: skip
        apply_mask(network, mask)
        order = seed_for(self._seed, "order", round_, steps)
        found = train(network, mask, self._parts, self._settings, order, steps, last_rate)
        self.rows.append({"arm": arm, "round": round_, "seed": self._seed, **found})
        share = found["stopped"] / len(self._parts.test.labels)
        left = self._settings.remaining(round_) if arm not in (DENSE, DENSE_LONGER) else 1.0
        self._say(f"  seed {self._seed}, {arm}, {left:.1%} of the weights: {share:.2%} at step {found['step']}")
