"""Lottery tickets: sparse networks that train as well from where the dense one began (Frankle and Carbin, 1803.03635).

Train, prune a share of the smallest weights that are left, put the others back to what they were at step `rewind`, and
again. With `rewind` above 0 it is the form that larger networks need (Frankle and others, arXiv 1912.05671). Whether
what comes out is a ticket, only `assay.pruning.controls` can tell.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from assay.errors import InputError
from assay.pruning.masks import Mask, kept_weights
from assay.pruning.methods.magnitude import magnitude
from assay.pruning.protocol import Data, Ranked, check_least, check_share, working_copy
from assay.pruning.training import Masked, train


@dataclass(frozen=True, slots=True)
class TicketSearch:
    """How tickets are searched for.

    Args:
        steps: of a whole training, the first `rewind` ones included.
        rewind: the step to whose weights the rest goes back; the batches are those after it.
        share: of the weights that are left, which go in each round.
        rounds: how many times.
        scope: "global" ranks all weights together, "local" takes the same share of every layer.
        minimum: how many weights each layer keeps at least.
        seed: of the random numbers of each training.

    Raises InputError for values out of range.
    """

    steps: int = 1000
    rewind: int = 0
    share: float = 0.2
    rounds: int = 10
    scope: Literal["global", "local"] = "global"
    minimum: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        check_least("number of steps", self.steps, 1)
        check_least("number of rounds", self.rounds, 0)
        check_share("share", self.share)
        Ranked(0.0, self.minimum, self.seed, self.scope)
        if not 0 <= self.rewind < self.steps:
            raise InputError("so far it cannot be rewound", value=str(self.rewind),
                             rule=f"from 0 to below the {self.steps} steps")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ticket:
    """What one round brought.

    Args:
        round: from 0, the dense one.
        mask: of this round.
        initial: the dense model at step `rewind`, the same in all rounds: controls begin from it.
        trained: what came of `initial` under the mask.
        losses: of that training.
    """

    round: int
    mask: dict[str, Tensor]
    initial: nn.Module
    trained: nn.Module
    losses: list[float]


def find_tickets(hparams: TicketSearch, model: nn.Module, data: Data, mask: Mask, first: int = 0) -> Iterator[Ticket]:
    """The dense training and then round after round, each as it is done; the model and the mask stay as they are.

    Args:
        hparams: how.
        model: at its initial weights.
        data: batches, loss and optimiser.
        mask: of the round that the search begins with: a full one, or an earlier ticket's to go on from it.
        first: the number of that round.
    """
    full = {name: torch.ones_like(each) for name, each in mask.items()}
    initial, _ = _trained(hparams, model, data, full, range(hparams.rewind))
    mask = {name: each.clone() for name, each in mask.items()}
    for number in range(first, hparams.rounds + 1):
        trained, losses = _trained(hparams, initial, data, mask, range(hparams.rewind, hparams.steps))
        yield Ticket(number, mask, copy.deepcopy(initial), trained, losses)
        if number < hparams.rounds:
            mask = _pruned(hparams, trained, mask)


def _trained(
    hparams: TicketSearch, model: nn.Module, data: Data, mask: Mask, steps: range
) -> tuple[nn.Module, list[float]]:
    with working_copy(model, mask, hparams.seed) as copied:
        losses = train(copied, data, Masked(copied, mask, data.make_optimizer(copied)), steps)
    return copied, losses


def _pruned(hparams: TicketSearch, trained: nn.Module, mask: Mask) -> dict[str, Tensor]:
    total, alive = sum(each.numel() for each in mask.values()), kept_weights(mask)
    kept = alive - round(hparams.share * alive)
    ranked = Ranked(1 - kept / total, hparams.minimum, hparams.seed, hparams.scope)
    return magnitude(ranked, trained, None, mask)
