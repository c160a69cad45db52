"""Pruning: which weights of a model can go, masks that keep them at zero, and controls that tell what that is worth.

    from assay import pruning

    pruned = pruning.prune(model, "magnitude", sparsity=0.9)
    pruned.model, pruned.mask

Names load on first use: they need torch, which takes seconds to import.
"""

from __future__ import annotations

from assay.core.lazy_names import lazy_names

_HOMES = {
    "METHODS": "assay.pruning.registry",
    "Arm": "assay.pruning.controls",
    "Data": "assay.pruning.protocol",
    "Hparams": "assay.pruning.protocol",
    "Mask": "assay.pruning.masks",
    "Masked": "assay.pruning.training",
    "Pruned": "assay.pruning.model",
    "Rounds": "assay.pruning.schedule",
    "Sparsegpt": "assay.pruning.methods.sparsegpt",
    "TicketSearch": "assay.pruning.tickets",
    "apply_mask": "assay.pruning.masks",
    "check_mask": "assay.pruning.masks",
    "density": "assay.pruning.masks",
    "find_tickets": "assay.pruning.tickets",
    "full_mask": "assay.pruning.masks",
    "keep_largest": "assay.pruning.masks",
    "make_arms": "assay.pruning.controls",
    "make_hparams": "assay.pruning.registry",
    "nonzero_mask": "assay.pruning.masks",
    "prunable": "assay.pruning.weights",
    "prune": "assay.pruning.model",
    "prune_in_rounds": "assay.pruning.schedule",
    "reconstruct": "assay.pruning.methods.sparsegpt",
}

__all__ = [*_HOMES]
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
