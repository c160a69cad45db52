"""The conversions that a model folder may name, in one explicit list: no folder brings code of its own for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from assay.checkpoints.conversions import block_sparse, mixture, pruned
from assay.errors import InputError

Convert = Callable[[nn.Module, Mapping[str, Any]], nn.Module]
"""From a model and settings (plain JSON) to the converted model; the weights that it makes are loaded over."""

CONVERSIONS: dict[str, Convert] = {
    block_sparse.NAME: block_sparse.to_block_sparse,
    mixture.NAME: mixture.to_mixtures,
    pruned.NAME: pruned.to_pruned,
}
"""By name. A new one is a file beside this one and a line here."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """One step from the model that `make_model` makes to the one whose weights a folder holds.

    Args:
        name: of `CONVERSIONS`.
        settings: plain JSON, enough to make the same modules again.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """A plain mapping."""
        return {"name": self.name, "settings": dict(self.settings)}


def apply_conversions(model: nn.Module, conversions: Iterable[Conversion]) -> nn.Module:
    """The model with all conversions done to it, in order; `model` itself may be changed.

    Raises InputError for a conversion that this Assay does not know, and for settings that do not fit the model.
    """
    for step in conversions:
        convert = CONVERSIONS.get(step.name)
        if convert is None:
            raise InputError(
                "this Assay knows no such conversion", value=step.name[:100],
                rule=f"one of: {', '.join(CONVERSIONS)}", next_step="update Assay",
            )  # fmt: skip
        model = convert(model, step.settings)
    return model
