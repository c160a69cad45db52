"""A second look at outputs that failed: does the candidate err, or does rounding decide what is right?

Where terms cancel before a function that saturates, as in the gate of a recurrent cell, the order of a sum decides
between two answers that are far apart. The reference may have landed on the right side by luck, so its own error does
not show it. Moving the inputs by as much as sums of another order err by does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from assay.referee.correctness.budget import Budget, Witness, amplification
from assay.referee.protocol.oracle_client import Array, Draw, Oracle

_PAIRS = 6
"""Moves that are tried, each with its opposite: of a sum near a threshold, one of the two crosses it, where the move is
long enough: one pair in six is not."""
_FEW = 1 / 8
"""Of an output's elements; where more are wrong, the candidate is, and no move is tried."""


@dataclass(frozen=True, slots=True)
class Appeal:
    """What a second look at a failure found: a witness, or that rounding decides, or neither where all is right."""

    witness: Witness | None
    undecided: bool


def appeal(oracle: Oracle, budget: Budget, outputs: Sequence[Array], draw: Draw) -> Appeal:
    """Judge outputs that failed on `draw` by what this very draw's rounding does.

    They are granted at least the reference's own rounding and the condition of these inputs. Where the reference errs
    beyond the cap, nothing is decided; where moving the inputs moves an element by more than is granted, that element
    is not.
    """
    evaluate = partial(oracle.evaluate, draw.layout, draw.inputs, run_seed=draw.run_seed)
    again = replace(evaluate(want=("expected", "reference", "nearby")), family=draw.family)
    if not budget.decides(again):
        return Appeal(None, undecided=True)
    again = replace(again, nearby=tuple(array.copy() for array in again.nearby))  # the block serves moved inputs next
    witness = budget.check(outputs, again)
    if witness is None or not witness.is_of_rounding or not _are_few(budget.beyond(outputs, again)):
        return Appeal(witness, undecided=False)
    unsettled = [np.zeros(wanted.shape, np.bool_) for wanted in again.expected]
    for pair in range(_PAIRS):
        for units in (amplification(draw.layout), -amplification(draw.layout)):
            moved = evaluate(want=("nearby",), move=(units, pair))
            new = budget.beyond(moved.nearby, again)
            unsettled = [one | other for one, other in zip(unsettled, new, strict=True)]
        witness = budget.check(_settled(outputs, again, unsettled), again)
        if witness is None:
            return Appeal(None, undecided=True)
    return Appeal(witness, undecided=False)


def _are_few(wrong: Sequence[NDArray[np.bool_]]) -> bool:
    counts = [np.count_nonzero(each) for each in wrong]
    return any(counts) and all(n <= max(1.0, _FEW * each.size) for n, each in zip(counts, wrong, strict=True))


def _settled(outputs: Sequence[Array], draw: Draw, unsettled: Sequence[Array]) -> list[Array]:
    """The outputs, with the reference's elements where rounding decides."""
    parts = zip(outputs, draw.reference, unsettled, strict=True)
    return [np.where(where, reference, got) if where.any() else got for got, reference, where in parts]
