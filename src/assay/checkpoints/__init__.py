"""Model folders: a model's source, its conversions and its weights, written whole and loaded strictly.

Names load on first use: most need torch, which takes seconds to import.
"""

from __future__ import annotations

from assay.core.lazy_names import lazy_names

_HOMES = {
    "Conversion": "assay.checkpoints.conversions.registry",
    "apply_conversions": "assay.checkpoints.conversions.registry",
    "ModelFolder": "assay.checkpoints.folder",
    "read_folder": "assay.checkpoints.folder",
    "load_model": "assay.checkpoints.loading",
    "write_folder": "assay.checkpoints.writing",
}

__all__ = [*_HOMES]
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
