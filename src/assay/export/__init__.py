"""Small networks as programs: C99 without any library, ONNX, and what they take of a small processor.

Names load on first use: most need torch, which takes seconds to import.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "Network": "assay.export.network",
    "read_network": "assay.export.reading",
    "fold": "assay.export.folding",
    "quantise": "assay.export.quantise",
    "write_program": "assay.export.c99.program",
    "Data": "assay.export.exporting",
    "ExportSettings": "assay.export.exporting",
    "export_c99": "assay.export.exporting",
    "export_onnx": "assay.export.exporting",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
