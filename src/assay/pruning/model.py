"""One call from a model to a pruned one."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from assay.errors import InputError
from assay.pruning.masks import Mask, apply_mask, density, nonzero_mask
from assay.pruning.protocol import Data
from assay.pruning.registry import find_method, make_hparams


@dataclass(frozen=True, slots=True)
class Pruned:
    """A pruned model, its mask, and the share of weights that was kept before and is now."""

    model: nn.Module
    mask: dict[str, Tensor]
    before: float
    after: float

    def __str__(self) -> str:
        return f"{self.after:.4%} of the weights stay, of {self.before:.4%}"


def prune(
    model: nn.Module, method: str = "magnitude", sparsity: float = 0.9, data: Data | None = None, *,
    names: Sequence[str] = (), mask: Mask | None = None, in_place: bool = False, **options: Any,
) -> Pruned:  # fmt: skip
    """Set a share of a model's weights to zero: in a copy, or in the model itself with `in_place`.

    Args:
        model: any module with Linear or convolutional layers.
        method: a name in METHODS.
        sparsity: the share of all prunable weights that is zero afterwards.
        data: batches and loss, for methods that learn from them.
        names: patterns of parameters to prune; without, the weights of all Linear and Conv1d, 2d and 3d.
        mask: what may stay; without, what is not zero yet, with a warning where a model has zeros.
        in_place: change the model instead of a copy.
        options: the method's other hyperparameters.

    Raises InputError for what cannot be pruned, with the reason.
    """
    hparams = make_hparams(method, {"sparsity": sparsity, **options})
    begin = _begin(model, names) if mask is None else dict(mask)
    found = find_method(method).method(hparams, model, data, begin)
    pruned = model if in_place else copy.deepcopy(model)
    apply_mask(pruned, found)
    return Pruned(pruned, found, density(begin), density(found))


def _begin(model: nn.Module, names: Sequence[str]) -> dict[str, Tensor]:
    """What is not zero. An empty layer may be one that starts at zero: its weights are not given up unasked."""
    begin = nonzero_mask(model, names)
    for name, each in begin.items():
        if not bool(each.any()):
            raise InputError(
                "a layer's weights are all zero", value=name, rule="pruning goes on from a model's zeros, or begins",
                next_step="give mask=, with full_mask(model) for a layer that starts at zero",
            )  # fmt: skip
    if (share := density(begin)) < 1:
        warnings.warn(f"{1 - share:.4%} of the weights are zero already: pruning goes on from them", stacklevel=3)
    return begin
