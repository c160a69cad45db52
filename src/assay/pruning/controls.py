"""Controls: what a mask is worth, told by the same training from other beginnings (Frankle and Carbin, 1803.03635).

A mask is a winning ticket only if its rewound weights beat both the same mask on other initial weights and another mask
of the same densities; and all of that means little without the dense model beside it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor, nn

from assay.errors import InputError
from assay.pruning.masks import Mask, apply_mask, check_mask, keep_largest
from assay.pruning.methods.random import random_scores


class Arm(Enum):
    """Where a training begins."""

    REWOUND = "rewound"
    """The mask on the weights with which the search for it began: the winning ticket, if it is one."""
    REINITIALISED = "reinitialised"
    """The same mask on weights drawn anew."""
    RANDOM_MASK = "random mask"
    """The same weights under a mask drawn by chance, of each layer's density."""
    DENSE = "dense"
    """The same weights, all of them."""


@dataclass(frozen=True, slots=True)
class Start:
    """A model with its mask applied; `Masked(model, mask, optimizer)` trains it."""

    model: nn.Module
    mask: dict[str, Tensor]


def rewound(initial: nn.Module, mask: Mask) -> Start:
    """The initial weights under the mask."""
    return _start(copy.deepcopy(initial), mask)


def reinitialised(
    initial: nn.Module, mask: Mask, seed: int, make_model: Callable[[], nn.Module] | None = None
) -> Start:
    """New weights of the same distribution under the mask.

    Args:
        initial: says what is drawn where `make_model` does not.
        mask: stays as it is.
        seed: of the weights.
        make_model: makes a model anew; without, every module's reset_parameters draws, which knows nothing of what a
            model's own constructor does after it.

    Raises InputError for a module with parameters and without reset_parameters, if there is no `make_model`.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return _start(make_model() if make_model else _drawn_anew(copy.deepcopy(initial)), mask)


def random_mask(initial: nn.Module, mask: Mask, seed: int) -> Start:
    """The initial weights under another mask that keeps as many in each layer."""
    scores = random_scores(check_mask(initial, mask), seed)
    counts = {name: int(each.sum()) for name, each in mask.items()}
    return rewound(initial, keep_largest(scores, counts, {name: torch.ones_like(each) for name, each in mask.items()}))


def dense(initial: nn.Module, mask: Mask) -> Start:
    """The initial weights, all of them."""
    return rewound(initial, {name: torch.ones_like(each) for name, each in mask.items()})


def make_arms(
    initial: nn.Module, mask: Mask, seed: int, make_model: Callable[[], nn.Module] | None = None
) -> Mapping[Arm, Start]:
    """All four, from the model with which the search began, its mask and the seed of what is drawn."""
    return {
        Arm.REWOUND: rewound(initial, mask),
        Arm.REINITIALISED: reinitialised(initial, mask, seed, make_model),
        Arm.RANDOM_MASK: random_mask(initial, mask, seed),
        Arm.DENSE: dense(initial, mask),
    }


def _start(model: nn.Module, mask: Mask) -> Start:
    apply_mask(model, mask)
    return Start(model, {name: each.clone() for name, each in mask.items()})


def _drawn_anew(model: nn.Module) -> nn.Module:
    for path, module in model.named_modules():
        reset = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()
        elif own := [name for name, _ in module.named_parameters(recurse=False)]:
            raise InputError("these weights cannot be drawn anew", value=f"{path}: {', '.join(own)}".lstrip(": ")[:300],
                             rule="a module with parameters has reset_parameters()",
                             next_step="give make_model=")  # fmt: skip
    return model
