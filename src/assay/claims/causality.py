"""Does a model look ahead? What comes after a secret position is exchanged; outputs before it must stay as they are.

The exchanged part is another example's, so that it looks as natural as what it replaces. Rounding may differ where a
layer groups its rows by what it finds in them; a difference counts above the square root of the type's own rounding,
which moves a loss by far less than any margin, and where it shows with two different continuations: that an expert is
chosen otherwise because of a rounding seldom repeats.
Not covered: a model that recognises a continuation that does not fit, and only then looks at nothing behind it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from assay.claims.held_out import Batch
from assay.errors import InputError


def continued(batch: Batch, position: int, shift: int) -> tuple[Tensor, ...] | None:
    """Inputs whose part from `position` on is that of the example `shift` further on; None where nothing changes."""
    positions = batch.inputs[0].shape[1]
    exchanged = []
    for tensor in batch.inputs:
        changed = tensor.clone()
        if tensor.ndim > 1 and tensor.shape[1] == positions:
            other = tensor.roll(shift, 0) if len(tensor) > 1 else tensor.flip(1)
            changed[:, position:] = other[:, position:]
        exchanged.append(changed)
    same = all(torch.equal(new, old) for new, old in zip(exchanged, batch.inputs, strict=True))
    return None if same else tuple(exchanged)


def looked_ahead(before: Tensor, after: Tensor, position: int) -> float | None:
    """The largest change of an output before `position`, in units of the outputs' size; None within rounding.

    Outputs are [examples, positions, ...]. Raises InputError for others.
    """
    if before.ndim < 2 or before.shape != after.shape or before.shape[1] <= position:
        raise InputError(
            "the outputs of a CAUSAL task have no positions", value=str(tuple(after.shape)),
            rule="[examples, positions, ...], as many as the first input has", next_step="see docs/judge-model.md",
        )  # fmt: skip
    old, new = before[:, :position].double(), after[:, :position].double()
    finite = old.isfinite()
    size = float(old[finite].square().mean().sqrt()) if finite.any() else 0.0
    change = torch.where(finite & new.isfinite(), (new - old).abs(), (new != old).double() * size)
    worst = float(change.max()) / size if size else float(change.max())
    return worst if worst > torch.finfo(before.dtype).eps ** 0.5 else None
