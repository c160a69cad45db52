"""Which groups each token takes, and the rows of each group, as one operator: `assay::route`."""

from __future__ import annotations

import torch
from torch import Tensor

from assay.errors import InputError
from assay.sparse.library import check, kernels
from assay.sparse.operators import KINDS, pointer, register

_NAN = 5
"""Status of routing.cpp."""


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
    if scores.ndim != 2 or scores.dtype not in KINDS or not 1 <= taken <= scores.shape[1]:
        raise InputError(
            "these scores cannot be routed",
            value=f"{scores.dtype} of shape {tuple(scores.shape)}, {taken} taken",
            rule="float32 or float64 [tokens, groups], from 1 to all groups taken",
        )
    found: tuple[Tensor, Tensor, Tensor, Tensor] = torch.ops.assay.route(scores.detach(), taken)
    return found


def gate(
    logits: Tensor, taken: int, *, sigmoid: bool = False, normalised: bool = True, bias: Tensor | None = None
) -> tuple[Tensor, ...] | None:
    """A router's whole decision in one call: for inference, on a CPU; None where a logit is not finite.

    Args:
        logits: float32 or float64 [tokens, groups] on a CPU, without a gradient.
        taken: as `route`.
        sigmoid: scores are the sigmoids of the logits; else their softmax over the groups.
        normalised: a token's gates are divided by their sum.
        bias: [groups] of the logits' type, added to the scores for the choice only.

    Returns:
        What `route` does, before it the scores [tokens, groups], after it the gate of each row.
    """
    logits, bias = logits.contiguous(), None if bias is None else bias.contiguous()
    scores, rows = torch.empty_like(logits), _empty(logits, taken)
    gates = logits.new_empty(rows[2].shape[0])
    status = kernels().assay_gate(
        logits.data_ptr(), pointer(bias), *logits.shape, taken, KINDS[logits.dtype],
        sigmoid, normalised, scores.data_ptr(), *(each.data_ptr() for each in rows), gates.data_ptr(),
    )  # fmt: skip
    if status == _NAN:
        return None
    check(status, "routing")
    return scores, *rows, gates


def _route_cpu(scores: Tensor, taken: int) -> tuple[Tensor, ...]:
    scores = scores.contiguous()
    tokens, groups = scores.shape
    made = _empty(scores, taken)
    status = kernels().assay_route(
        scores.data_ptr(), tokens, groups, taken, KINDS[scores.dtype], *(each.data_ptr() for each in made)
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


register("route(Tensor scores, int taken) -> (Tensor, Tensor, Tensor, Tensor)", _route_cpu, _route_plain, _empty)
