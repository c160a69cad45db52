"""From a training to a cheaper model, with a certificate that says whether it is as good: `assay compress`.

    settings = compress.CompressSettings(compress.Sparse(0.9, block=32), steps=1000)
    found = compress.compress_training("train.py", settings, "sparse-model")

Names load on first use: they need torch, which takes seconds to import, and most verbs never call them.
"""

from __future__ import annotations

from assay.core.lazy_names import lazy_names

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
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
