"""Masks: which weights stay.

A mask is data beside a model. It is applied by setting weights to zero, once; no forward pass multiplies by it, so that
a pruned model is the same module with zeros in it, costs what it cost, and is saved as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from assay.errors import InputError
from assay.pruning.weights import prunable

Mask = Mapping[str, Tensor]
"""Names of parameters, as named_parameters gives them, to bool tensors of their shape; what is True stays. A parameter
that a mask does not name is never pruned, and is not counted in any share."""


class EmptyLayerError(InputError):
    """A layer would lose its last weight; `value` is its name."""


def full_mask(model: nn.Module, names: Sequence[str] = ()) -> dict[str, Tensor]:
    """Everything stays: `prunable` says of what, and which errors are raised."""
    return {name: torch.ones_like(each, dtype=torch.bool) for name, each in prunable(model, names).items()}


def nonzero_mask(model: nn.Module, names: Sequence[str] = ()) -> dict[str, Tensor]:
    """What is not zero stays: an already pruned model's mask. `prunable` says of what, and which errors are raised."""
    return {name: each.detach() != 0 for name, each in prunable(model, names).items()}


def kept_weights(mask: Mask) -> int:
    """How many weights stay."""
    return sum(int(each.sum()) for each in mask.values())


def density(mask: Mask) -> float:
    """The share of the weights that stay. Raises InputError for a mask of nothing."""
    total = sum(each.numel() for each in mask.values())
    if not total:
        raise InputError("the mask names no weights", rule="one at least", next_step="make it with full_mask(model)")
    return kept_weights(mask) / total


def check_mask(model: nn.Module, mask: Mask) -> dict[str, nn.Parameter]:
    """The parameters that a mask names. Raises InputError for a mask that does not fit the model."""
    everywhere, found = dict(model.named_parameters(remove_duplicate=False)), {}
    for name, each in mask.items():
        parameter = everywhere.get(name)
        if parameter is None:
            raise _unfit(name, "the model has no such parameter")
        if each.dtype != torch.bool or each.shape != parameter.shape or each.device != parameter.device:
            have, want = (f"{x.dtype} {tuple(x.shape)} on {x.device}" for x in (each, parameter))
            raise _unfit(name, f"{have}, for a parameter {want}")
        found[name] = parameter
    return found


@torch.no_grad()
def apply_mask(model: nn.Module, mask: Mask) -> None:
    """Set the weights that are to go to zero, in place. Raises InputError for a mask that does not fit the model."""
    for name, parameter in check_mask(model, mask).items():
        parameter.masked_fill_(~mask[name], 0.0)


def keep_largest(
    scores: Mapping[str, Tensor], kept: int | Mapping[str, int], mask: Mask, minimum: int = 0
) -> dict[str, Tensor]:
    """Keep exactly so many weights, those of the largest scores among what a mask keeps; equal ones by position.

    Args:
        scores: of the same names and shapes as the mask's; infinities are allowed, NaN is not.
        kept: how many over all layers, ranked together, or how many of each layer.
        mask: what may stay; it is not changed.
        minimum: with one number for all: so many of each layer stay whatever the others' scores, or all it has.

    Raises InputError for scores that do not fit and for more than there is, EmptyLayerError for a layer that would
    lose its last weight.
    """
    _check_scores(scores, mask)
    if isinstance(kept, int):
        found = _over_all(scores, kept, mask, minimum)
    else:
        found = {name: largest(scores[name], kept[name], each, name) for name, each in mask.items()}
    for name, each in found.items():
        if not bool(each.any()) and bool(mask[name].any()):
            raise EmptyLayerError(
                "a layer would lose all its weights", value=name, rule="every layer keeps one weight at least",
                next_step="prune less, keep a minimum of each layer, or rank within layers",
            )  # fmt: skip
    return found


def _over_all(scores: Mapping[str, Tensor], kept: int, mask: Mask, minimum: int) -> dict[str, Tensor]:
    sure = {name: largest(scores[name], min(minimum, int(each.sum())), each, name) for name, each in mask.items()}
    rest = kept - kept_weights(sure)
    if rest < 0:
        raise InputError("the minimum of each layer is more than what is to stay", value=f"{minimum} in each of "
                         f"{len(mask)} layers", rule=f"{kept} weights in all")  # fmt: skip
    flat = torch.cat([scores[name].flatten() for name in mask])
    open_ = torch.cat([(each & ~sure[name]).flatten() for name, each in mask.items()])
    found = largest(flat, rest, open_, "all layers")
    parts = torch.split(found, [each.numel() for each in mask.values()])
    return {name: part.view_as(mask[name]) | sure[name] for name, part in zip(mask, parts, strict=True)}


def largest(scores: Tensor, kept: int, allowed: Tensor, name: str) -> Tensor:
    """Of one tensor exactly so many places of the largest scores, among those allowed; equal ones by position.

    Raises InputError, with the name, for more than are allowed.
    """
    flat, open_ = scores.flatten(), allowed.flatten()
    values = flat[open_]
    if not 0 <= kept <= values.numel():
        raise InputError("so many weights cannot stay", value=f"{kept} in {name}", rule=f"from 0 to {values.numel()}")
    if kept == 0:
        return torch.zeros_like(allowed)
    edge = values.to(torch.promote_types(values.dtype, torch.float32)).kthvalue(values.numel() - kept + 1).values
    found = open_ & (flat > edge)
    ties = (open_ & (flat == edge)).nonzero().squeeze(1)
    found[ties[: kept - int(found.sum())]] = True
    return found.view_as(allowed)


def _check_scores(scores: Mapping[str, Tensor], mask: Mask) -> None:
    if scores.keys() != mask.keys():
        raise InputError("scores and mask name different weights", value=", ".join(scores.keys() ^ mask.keys())[:300],
                         rule="the same names")  # fmt: skip
    for name, each in mask.items():
        if scores[name].shape != each.shape:
            raise _unfit(name, f"scores {tuple(scores[name].shape)} for {tuple(each.shape)}")
        if bool(scores[name].isnan().any()):
            raise InputError("a score is not a number", value=name, rule="scores can be compared",
                             next_step="look at the weights, the loss and the batches for NaN")  # fmt: skip


def _unfit(name: str, why: str) -> InputError:
    return InputError("the mask does not fit the model", value=f"{name}: {why}"[:300],
                      rule="bool tensors of the parameters' shapes and devices, by the names of named_parameters",
                      next_step="make it with full_mask(model)")  # fmt: skip
