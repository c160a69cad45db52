"""How many weights stay: of a model, and of each of its layers. Counts are exact, never a threshold's luck."""

from __future__ import annotations

import torch
from torch import Tensor

from assay.errors import InputError
from assay.pruning.masks import Mask

_HALVINGS = 200
"""Of an interval: after 60 or so nothing lies between two neighbours of float64."""


def kept_count(mask: Mask, sparsity: float) -> int:
    """How many weights stay where this share of all weights in the mask is gone.

    Raises InputError where nothing would stay, and where more are gone already.
    """
    total, alive = sum(each.numel() for each in mask.values()), sum(int(each.sum()) for each in mask.values())
    kept = total - round(sparsity * total)
    if kept < 1:
        raise InputError("no weight would stay", value=f"{sparsity:g} of {total}", rule="one at least")
    if kept > alive:
        raise InputError(
            "the model is sparser already", value=f"{1 - alive / total:.6g} of its weights are gone",
            rule=f"at most the {sparsity:.6g} that are to go", next_step="ask for more, or begin with the dense model",
        )  # fmt: skip
    return kept


def apportion(total: int, weights: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """Split a count in proportion to weights, between limits: largest remainders, ties to the first.

    Args:
        total: what the parts add up to.
        weights: float64 [n], positive.
        lower, upper: int64 [n], the limits of each part.

    Returns int64 [n]. Raises InputError where the limits leave no such split.
    """
    if not int(lower.sum()) <= total <= int(upper.sum()) or bool((lower > upper).any()):
        span = f"from {int(lower.sum())} to {int(upper.sum())}"
        raise InputError("the layers cannot keep as many", value=str(total), rule=f"{span}, each within what it has")
    low, high = 0.0, float((upper / weights).max())
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if float((middle * weights).clamp(lower, upper).sum()) <= total:
            low = middle
        else:
            high = middle
    exact = (low * weights).clamp(lower, upper)
    parts = exact.floor().to(torch.int64)
    while (rest := total - int(parts.sum())) > 0:
        open_ = (parts < upper).nonzero().squeeze(1)
        first = (exact - parts)[open_].argsort(descending=True, stable=True)[:rest]
        parts[open_[first]] += 1
    return parts


def share_out(kept: int, mask: Mask, minimum: int, densities: dict[str, float] | None = None) -> dict[str, int]:
    """How many each layer keeps of `kept`: the same share of each, or in proportion to `densities`.

    A layer keeps at most what it has and at least `minimum`, or all where it has less.
    """
    alive = torch.tensor([int(each.sum()) for each in mask.values()])
    weights = [each.numel() * (densities[name] if densities else 1.0) for name, each in mask.items()]
    parts = apportion(kept, torch.tensor(weights, dtype=torch.float64), alive.clamp(max=minimum), alive)
    return dict(zip(mask, parts.tolist(), strict=True))
