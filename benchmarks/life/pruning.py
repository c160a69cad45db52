"""Iterative magnitude pruning with L1, consolidation, and undo-and-halve, of many instances at once.

A round takes a share of an instance's smallest parameters away, biases too, exactly so many, and trains it on. Where it
holds afterwards, that state is kept. Where it does not, the round is undone and the share halved, and the next round
takes nothing away: it trains on, so that L1 makes other weights small. The share doubles again, up to the first one,
with every round that holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.life.instances import Instances

Loss = Callable[[Instances, int], Tensor]
"""[instances] losses at a step; each depends on its own instance only."""
Holds = Callable[[Instances], Tensor]
"""[instances] bools: which are exact."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """`share` of what is left goes in a round, at most `rounds` times; a round has at most `tries` times `steps` steps,
    and ends early where all hold. `l1` weighs the sum of absolute values in the loss."""

    rounds: int
    steps: int
    tries: int
    share: float
    l1: float
    rate: float


class Training:
    """Adam over all instances; pruned parameters stay exactly zero, and no forward pass knows a mask."""

    def __init__(self, instances: Instances, loss: Loss, rate: float, l1: float) -> None:
        self.instances, self._loss, self._l1, self.done = instances, loss, l1, 0
        self.masks = [torch.ones_like(each, dtype=torch.bool) for each in instances.parameters]
        self._optimizer = self._make_optimizer(rate)

    def _make_optimizer(self, rate: float) -> torch.optim.Adam:
        self.instances.require_gradients()
        return torch.optim.Adam(self.instances.parameters, lr=rate, fused=True)

    def only(self, places: Tensor) -> None:
        """Go on with these instances, and without those that are done."""
        old = [self._optimizer.state[each] for each in self.instances.parameters]
        self.masks = [mask[places] for mask in self.masks]
        self.instances.only(places)
        self._optimizer = self._make_optimizer(self._optimizer.param_groups[0]["lr"])
        for each, state in zip(self.instances.parameters, old, strict=True):
            kept = {key: value[places] if value.dim() else value for key, value in state.items()}
            self._optimizer.state[each] = kept

    def run(self, steps: int) -> None:
        """Train on."""
        for _ in range(steps):
            self._optimizer.zero_grad()
            loss = self._loss(self.instances, self.done).sum()
            if self._l1:
                loss = loss + self._l1 * sum(each.abs().sum() for each in self.instances.parameters)
            torch.autograd.backward(loss)
            for each, mask in zip(self.instances.parameters, self.masks, strict=True):
                assert each.grad is not None
                each.grad.mul_(mask)
            self._optimizer.step()
            self.done += 1

    def tensors(self) -> list[Tensor]:
        """All that a round may change, an instance a row: parameters, masks, Adam's moments."""
        found = [each.data for each in self.instances.parameters] + self.masks
        for each in self.instances.parameters:
            state = self._optimizer.state[each]
            found += [state["exp_avg"], state["exp_avg_sq"]]
        return found

    def left(self) -> Tensor:
        """How many parameters each instance has left."""
        return torch.stack([mask.flatten(1).sum(1) for mask in self.masks]).sum(0)

    def take_smallest(self, counts: Tensor) -> None:
        """Take each instance's `counts` smallest parameters away, exactly so many; ties go by position."""
        size = torch.cat([each.detach().abs().flatten(1) for each in self.instances.parameters], 1)
        kept = torch.cat([mask.flatten(1) for mask in self.masks], 1)
        order = torch.where(kept, size, torch.inf).argsort(dim=1, stable=True)
        place = torch.arange(size.shape[1]).expand_as(order)
        kept.scatter_(1, order, kept.gather(1, order) & (place >= counts[:, None]))
        self.set_masks(
            [
                part.reshape(mask.shape)
                for part, mask in zip(torch.split(kept, [m[0].numel() for m in self.masks], 1), self.masks, strict=True)
            ]
        )

    def set_masks(self, masks: list[Tensor]) -> None:
        """Keep only these; what goes is zero from now on, and its moments too."""
        self.masks = masks
        for each, mask in zip(self.instances.parameters, masks, strict=True):
            each.data.mul_(mask)
            for name in ("exp_avg", "exp_avg_sq"):
                if name in self._optimizer.state[each]:
                    self._optimizer.state[each][name].mul_(mask)


def prune(
    training: Training,
    holds: Holds,
    schedule: Schedule,
    begun: Tensor,
    least: int,
    history: list[list[int]],
    say: Callable[[str], None],
) -> None:
    """Prune the instances that have `begun`, since they hold, until `least` parameters are left or the rounds are over.

    They end in their smallest state that held; others are left without pruning. `history` gets what is left after each
    round.
    """
    best = [each.clone() for each in training.tensors()]
    share = torch.full((training.instances.count,), schedule.share)
    rest = torch.zeros_like(begun)
    history.append(training.left().tolist())
    for number in range(schedule.rounds):
        left = training.left()
        if (~begun | (left <= least)).all():
            break
        counts = (share * left).long().clamp(min=1).minimum((left - least).clamp(min=0))
        training.take_smallest(torch.where(rest | ~begun, 0, counts))
        well = _train(training, holds, schedule)
        for now, old in zip(training.tensors(), best, strict=True):
            old[well] = now[well]
            now[~well] = old[~well]
        share = torch.where(well & ~rest, share * 2, torch.where(well, share, share / 2)).clamp(max=schedule.share)
        rest = ~well
        history.append(training.left().tolist())
        say(f"round {number + 1}: {history[-1]} left")


def _train(training: Training, holds: Holds, schedule: Schedule) -> Tensor:
    """A round's training; which instances hold at its end."""
    for _ in range(schedule.tries):
        training.run(schedule.steps)
        well = holds(training.instances)
        if well.all():
            break
    return well
