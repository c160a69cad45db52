"""Which groups each token takes, and the rows of each group, as one operator: `assay::route`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from assay.errors import InputError
from assay.sparse.library import check, kernels

_KINDS = {torch.float32: 0, torch.float64: 1}
_NAN = 5
"""Status of routing.cpp."""

_LIBRARY: Any = torch.library.Library("assay", "FRAGMENT")  # type: ignore[no-untyped-call]
"""PyTorch has no types for it."""
_LIBRARY.define("route(Tensor scores, int taken) -> (Tensor, Tensor, Tensor, Tensor)")


def route(scores: Tensor, taken: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Each token's `taken` groups of highest score, and their rows sorted by group.

    Args:
        scores: float32 or float64 [tokens, groups]; of equal ones the first group is taken.
        taken: from 1 to the number of groups.

    Returns:
        All int64: the groups [tokens, taken] in descending order of score; where each group's rows end [groups]; and of
        each row [tokens * taken] the pair of a token and a group, numbered as in the first, and the token. No gradient.

    Raises:
        InputError: for NaN, another type or shape, and a `taken` that there is not.
    """
    if scores.ndim != 2 or scores.dtype not in _KINDS or not 1 <= taken <= scores.shape[1]:
        raise InputError(
            "these scores cannot be routed",
            value=f"{scores.dtype} of shape {tuple(scores.shape)}, {taken} taken",
            rule="float32 or float64 [tokens, groups], from 1 to all groups taken",
        )
    found: tuple[Tensor, Tensor, Tensor, Tensor] = torch.ops.assay.route(scores.detach(), taken)
    return found


def _route_cpu(scores: Tensor, taken: int) -> tuple[Tensor, ...]:
    scores = scores.contiguous()
    tokens, groups = scores.shape
    made = _empty(scores, taken)
    status = kernels().assay_route(
        scores.data_ptr(), tokens, groups, taken, _KINDS[scores.dtype], *(each.data_ptr() for each in made)
    )
    if status == _NAN:
        raise InputError("a score to route by is NaN", rule="every score has a place in an order")
    check(status, "routing")
    return made


def _route_plain(scores: Tensor, taken: int) -> tuple[Tensor, ...]:
    order = scores.sort(dim=1, descending=True, stable=True).indices[:, :taken].contiguous()
    grouped, pair_of_row = order.flatten().sort(stable=True)
    numbers = torch.arange(scores.shape[1], device=scores.device)
    return order, torch.searchsorted(grouped, numbers, right=True), pair_of_row, pair_of_row // taken


def _empty(scores: Tensor, taken: int) -> tuple[Tensor, ...]:
    tokens, groups = scores.shape
    shapes = ((tokens, taken), (groups,), (tokens * taken,), (tokens * taken,))
    return tuple(scores.new_empty(shape, dtype=torch.int64) for shape in shapes)


_LIBRARY.impl("route", _route_cpu, "CPU")
_LIBRARY.impl("route", _route_plain, "CUDA")
torch.library.register_fake("assay::route", _empty, lib=_LIBRARY)
