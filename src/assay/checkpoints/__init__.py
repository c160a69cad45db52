"""Model folders: a model's source, its conversions and its weights, written whole and loaded strictly.

Names load on first use: most need torch, which takes seconds to import.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "Conversion": "assay.checkpoints.conversions.registry",
    "apply_conversions": "assay.checkpoints.conversions.registry",
    "ModelFolder": "assay.checkpoints.folder",
    "read_folder": "assay.checkpoints.folder",
    "load_model": "assay.checkpoints.loading",
    "write_folder": "assay.checkpoints.writing",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
