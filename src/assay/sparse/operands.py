"""What every block-sparse kernel wants of its operands, whatever the device."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from assay.errors import InputError


def check_operands(
    x: Tensor, values: Tensor, scales: Tensor | None, layout: Sequence[Tensor], out_features: int, bias: Tensor | None,
    types: Collection[torch.dtype],
) -> None:  # fmt: skip
    """Raises InputError for what would make a kernel of these types read beyond its operands, or as another type."""
    block = values.shape[-1]
    stored = x.dtype if scales is None else torch.int8
    fits = (
        values.dtype == stored
        and x.dtype in types
        and values.shape == (layout[1].numel(), block, block)
        and layout[0].numel() == -(-out_features // block) + 1
        and all(each is None or (each.dtype == x.dtype and each.shape == (out_features,)) for each in (bias, scales))
    )
    if not fits:
        shown = [values, *(each for each in (bias, scales) if each is not None)]
        raise InputError(
            "the operands of a block-sparse product do not fit each other",
            value=f"{x.dtype} times " + ", ".join(f"{each.dtype} {tuple(each.shape)}" for each in shown),
            rule="values of the layout's blocks; bias and scales of the outputs, in the input's type",
        )
