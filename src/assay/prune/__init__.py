"""Pruning: which weights of a model can go, masks that keep them at zero, and controls that tell what that is worth.

    from assay import prune

    pruned = prune.prune(model, "magnitude", sparsity=0.9)
    pruned.model, pruned.mask

Names load on first use: they need torch, which takes seconds to import.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "METHODS": "assay.prune.registry",
    "Arm": "assay.prune.controls",
    "Data": "assay.prune.protocol",
    "Hparams": "assay.prune.protocol",
    "Mask": "assay.prune.masks",
    "Masked": "assay.prune.training",
    "Pruned": "assay.prune.pruning",
    "Rounds": "assay.prune.schedule",
    "Sparsegpt": "assay.prune.methods.sparsegpt",
    "TicketSearch": "assay.prune.tickets",
    "apply_mask": "assay.prune.masks",
    "check_mask": "assay.prune.masks",
    "density": "assay.prune.masks",
    "find_tickets": "assay.prune.tickets",
    "full_mask": "assay.prune.masks",
    "keep_largest": "assay.prune.masks",
    "make_arms": "assay.prune.controls",
    "make_hparams": "assay.prune.registry",
    "nonzero_mask": "assay.prune.masks",
    "prunable": "assay.prune.prunable",
    "prune": "assay.prune.pruning",
    "prune_in_rounds": "assay.prune.schedule",
    "reconstruct": "assay.prune.methods.sparsegpt",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
