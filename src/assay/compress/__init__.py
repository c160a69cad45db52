"""From a training to a cheaper model, with a certificate that says whether it is as good: `assay compress`.

    settings = compress.CompressSettings(compress.Sparse(0.9, block=32), steps=1000)
    found = compress.compress_training("train.py", settings, "sparse-model")

Names load on first use: they need torch, which takes seconds to import, and most verbs never call them.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "CompressSettings": "assay.compress.settings",
    "Mixture": "assay.compress.settings",
    "Prune": "assay.compress.settings",
    "Sparse": "assay.compress.settings",
    "compress_training": "assay.compress.run",
    "compress": "assay.compress.run",
    "prepare": "assay.compress.preparing",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
