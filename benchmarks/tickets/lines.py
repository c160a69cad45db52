"""The lines of a seed: tickets, rewound after every round, beside their controls; fine-tuning, and pruning gradually
within one training, each beside a dense network that gets as many steps at the same rates.

Every training of a round sees the images in the same order, another one in every round, so that arms are compared in
pairs and a mask was not found under the very noise that it is tried under.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from assay.pruning import controls
from assay.pruning.masks import Mask, full_mask
from benchmarks.tickets.images import Parts
from benchmarks.tickets.network import make_network, prune_round, seed_for, thin_gradually
from benchmarks.tickets.settings import Settings
from benchmarks.tickets.training import Course, train

Row = dict[str, Any]
Say = Callable[[str], None]

DENSE, REWOUND, REINITIALISED, RANDOM = "dense", "rewound", "reinitialised", "random mask"
FINE_TUNED, DENSE_LONGER = "fine-tuned", "dense, trained on"
GRADUAL, REWOUND_FALLING, DENSE_FALLING = "gradual", "rewound, falling rate", "dense, falling rate"
ONCE = (DENSE, DENSE_FALLING)
"""Trained once for each seed, whatever the round."""


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
    mask: Mask = full_mask(start)
    network: nn.Module = copy.deepcopy(start)
    arms.train(DENSE, 0, network, mask)
    for round_ in range(1, settings.pruning.rounds + 1):
        mask = prune_round(network, mask, settings, round_)
        fresh = partial(make_network, settings, seed_for(seed, "new weights", round_))
        network = arms.begin(REWOUND, round_, controls.rewound(start, mask))
        arms.begin(REINITIALISED, round_, controls.reinitialised(start, mask, 0, fresh))
        arms.begin(RANDOM, round_, controls.random_mask(start, mask, seed_for(seed, "mask", round_)))
    return arms.rows


def fine_tuning(seed: int, parts: Parts, settings: Settings, say: Say) -> list[Row]:
    """In every round the smallest weights go and the others are trained on; dense is trained on for as long, alike."""
    arms = _Arms(seed, parts, settings, say)
    dense = make_network(settings, seed_for(seed, "weights"))
    everything = full_mask(dense)
    arms.train(DENSE, 0, dense, everything)
    arms.rows.clear()  # the same training as the tickets' line has
    network, mask = copy.deepcopy(dense), everything
    further = Course(settings.fine_tuning.steps, settings.fine_tuning.last_rate)
    for round_ in range(1, settings.pruning.rounds + 1):
        mask = prune_round(network, mask, settings, round_)
        arms.train(FINE_TUNED, round_, network, mask, further)
        arms.train(DENSE_LONGER, round_, dense, everything, further)
    return arms.rows


def gradual(seed: int, parts: Parts, settings: Settings, say: Say) -> list[Row]:
    """At the target's share of weights only: pruned within one training whose rate falls; and dense trained alike."""
    arms, shape = _Arms(seed, parts, settings, say), settings.gradual
    start = make_network(settings, seed_for(seed, "weights"))
    everything = full_mask(start)
    dense = Course(shape.steps, shape.last_rate)
    arms.train(DENSE_FALLING, 0, copy.deepcopy(start), everything, dense)
    pruned = Course(shape.steps, shape.last_rate, partial(thin_gradually, settings=settings), shape.end)
    arms.train(GRADUAL, settings.target_round, start, everything, pruned)
    return arms.rows


def falling(seed: int, parts: Parts, settings: Settings, say: Say) -> list[Row]:
    """The ticket of the target's round, searched for as in `tickets`, at the steps and rates of `gradual`'s two."""
    arms, shape = _Arms(seed, parts, settings, say), settings.gradual
    start = make_network(settings, seed_for(seed, "weights"))
    mask: Mask = full_mask(start)
    network: nn.Module = copy.deepcopy(start)
    arms.train(DENSE, 0, network, mask)
    for round_ in range(1, settings.target_round):
        mask = prune_round(network, mask, settings, round_)
        network = arms.begin(REWOUND, round_, controls.rewound(start, mask))
    arms.rows.clear()  # the same trainings as the tickets' line has
    ticket = controls.rewound(start, prune_round(network, mask, settings, settings.target_round))
    arms.train(REWOUND_FALLING, settings.target_round, ticket.model, ticket.mask, Course(shape.steps, shape.last_rate))
    return arms.rows


LINES: dict[str, Callable[[int, Parts, Settings, Say], list[Row]]] = {
    "tickets": tickets, "fine-tuning": fine_tuning, "gradual": gradual,
    "ticket at a falling rate": falling,
}  # fmt: skip


class _Arms:
    """Trains what it is given and keeps a row of it."""

    def __init__(self, seed: int, parts: Parts, settings: Settings, say: Say) -> None:
        self._seed, self._parts, self._settings, self._say = seed, parts, settings, say
        self.rows: list[Row] = []

    def begin(self, arm: str, round_: int, start: controls.Start) -> nn.Module:
        """Train as the paper does from where a control begins. Returns the trained network."""
        self.train(arm, round_, start.model, start.mask)
        return start.model

    def train(self, arm: str, round_: int, network: nn.Module, mask: Mask, course: Course | None = None) -> None:
        """From what the network's weights are now; without a course as the paper does, at a constant rate."""
        course = course or Course(self._settings.training.steps)
        order = seed_for(self._seed, "order", 0 if arm in (GRADUAL, REWOUND_FALLING) else round_, course.steps)
        found = train(network, mask, self._parts, self._settings, order, course)
        self.rows.append({"arm": arm, "round": round_, "seed": self._seed, **found})
        share, left = found["stopped"] / len(self._parts.test.labels), sum(found["kept"]) / sum(self._settings.kept(0))
        self._say(f"  seed {self._seed}, {arm}, {left:.1%} of the weights: {share:.2%} at step {found['step']}")
