"""Pruning in rounds that never lose what must hold: train, prune a little, train on, check; undo and halve on failure.

Each round trains with an L1 penalty, which lets weights shrink before any is taken, takes an exact share of what is
left, consolidates without the penalty, and asks `holds(model)`. Where that fails, the round is undone and the next one
takes half the share. So the result always holds, as far as the check can tell.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from assay.errors import InputError
from assay.pruning.masks import EmptyLayerError, Mask, kept_weights
from assay.pruning.protocol import Data, check_least, check_share, working_copy
from assay.pruning.registry import find_method, make_hparams
from assay.pruning.training import Masked, train

Holds = Callable[[nn.Module], bool]
"""Whether a model, in evaluation mode, is still good enough; it must not change it."""


@dataclass(frozen=True, slots=True)
class Rounds:
    """Hyperparameters.

    Args:
        sparsity: the share of all weights in the mask at which it ends.
        share: of the weights that are left, which a round takes at first.
        steps: of training with the L1 penalty, before a round takes any.
        l1: the penalty's factor; it covers the weights in the mask.
        consolidation: most steps of training without it, after a round has taken some.
        check_every: consolidation ends as soon as the model holds, asked every so many steps.
        method: which weights go.
        options: the method's other hyperparameters.
        seed: of the random numbers of training.

    Raises InputError for values out of range.
    """

    sparsity: float = 0.9
    share: float = 0.2
    steps: int = 100
    l1: float = 0.0
    consolidation: int = 100
    check_every: int = 100
    method: str = "magnitude"
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        check_share("sparsity", self.sparsity)
        check_share("share", self.share)
        check_least("number of steps", self.steps, 0)
        check_least("L1 penalty", self.l1, 0)
        check_least("number of consolidation steps", self.consolidation, 0)
        check_least("distance between checks", self.check_every, 1)
        make_hparams(self.method, self.options)


@dataclass(frozen=True, slots=True)
class State:
    """Where pruning in rounds stands. `dataclasses.asdict` makes it a plain mapping for torch.save, from which
    `State(**loaded)` goes on as if it had not been interrupted.

    Args:
        round: how many are done, undone ones included.
        share: that the next one takes.
        step: the number of the next batch.
        mask, weights: of the sparsest model that held; weights are its state_dict.
        kept: how many weights stayed after each round, and whether it held.
    """

    round: int
    share: float
    step: int
    mask: dict[str, Tensor]
    weights: dict[str, Tensor]
    kept: tuple[tuple[int, bool], ...] = ()

    def apply(self, model: nn.Module) -> None:
        """Give a model these weights, in place."""
        model.load_state_dict(self.weights)


def begin(hparams: Rounds, model: nn.Module, mask: Mask, holds: Holds) -> State:
    """The state before the first round. Raises InputError for a model that does not hold as it is."""
    with working_copy(model, mask, hparams.seed) as copied:
        if not holds(copied.eval()):
            raise InputError("the model does not hold before it is pruned", rule="holds(model) is true at the start",
                             next_step="train it first, or ask for less")  # fmt: skip
        return State(0, hparams.share, 0, {name: each.clone() for name, each in mask.items()}, _copied(copied))


def is_done(hparams: Rounds, state: State) -> bool:
    """Whether the sparsity is reached, or the share has been halved until it takes no weight."""
    return _to_take(hparams, state) < 1


def advance(hparams: Rounds, model: nn.Module, data: Data, state: State, holds: Holds) -> State:
    """One round from a state to the next; the state stays as it is, and so does the model that says what is trained."""
    with working_copy(model, {}, hparams.seed + 1 + state.round) as copied:
        state.apply(copied)
        step = _train(copied, data, state.mask, range(state.step, state.step + hparams.steps), hparams.l1)
        try:
            mask = _take(hparams, copied, data, state)
        except EmptyLayerError:
            return _undone(state, step, kept_weights(state.mask) - _to_take(hparams, state))
        end, held = step + hparams.consolidation, False
        while step < end and not held:
            step = _train(copied, data, mask, range(step, min(step + hparams.check_every, end)), 0.0)
            held = holds(copied.eval())
        if hparams.consolidation == 0:
            Masked(copied, mask, data.make_optimizer(copied))
            held = holds(copied.eval())
        if not held:
            return _undone(state, step, kept_weights(mask))
        kept = (*state.kept, (kept_weights(mask), True))
        return State(state.round + 1, state.share, step, mask, _copied(copied), kept)


def prune_in_rounds(
    hparams: Rounds, model: nn.Module, data: Data, mask: Mask, holds: Holds,
    state: State | None = None, told: Callable[[State], None] = lambda state: None,
) -> State:  # fmt: skip
    """Rounds until nothing more goes: mask and weights of the sparsest model that held.

    Args:
        hparams: how.
        model: trained, or with `state` any of the same kind; it stays as it is.
        data: batches, loss and optimiser, a new one each round.
        mask: what may stay; with `state`, its mask counts.
        holds: what must not be lost.
        state: to go on from.
        told: is given every state as it is reached, to save it.

    Raises InputError for a model that does not hold at the start.
    """
    state = state or begin(hparams, model, mask, holds)
    while not is_done(hparams, state):
        state = advance(hparams, model, data, state, holds)
        told(state)
    return state


def _to_take(hparams: Rounds, state: State) -> int:
    total, alive = sum(each.numel() for each in state.mask.values()), kept_weights(state.mask)
    return min(math.floor(state.share * alive), alive - (total - round(hparams.sparsity * total)))


def _take(hparams: Rounds, copied: nn.Module, data: Data, state: State) -> dict[str, Tensor]:
    total = sum(each.numel() for each in state.mask.values())
    kept = kept_weights(state.mask) - _to_take(hparams, state)
    options = {"seed": hparams.seed + state.round, **hparams.options, "sparsity": 1 - kept / total}
    return find_method(hparams.method).method(make_hparams(hparams.method, options), copied, data, state.mask)


def _train(copied: nn.Module, data: Data, mask: Mask, steps: range, l1: float) -> int:
    """Train in place with a new optimiser; returns the number of the next batch."""
    weights = [copied.get_parameter(name) for name in mask]

    def penalty() -> Tensor:
        return l1 * torch.stack([weight.abs().sum() for weight in weights]).sum()

    train(copied, data, Masked(copied, mask, data.make_optimizer(copied)), steps, penalty=penalty if l1 else None)
    return steps.stop


def _undone(state: State, step: int, tried: int) -> State:
    return replace(state, round=state.round + 1, share=state.share / 2, step=step, kept=(*state.kept, (tried, False)))


def _copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: each.detach().clone() for name, each in model.state_dict().items()}
