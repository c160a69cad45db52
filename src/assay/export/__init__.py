"""Small networks as programs: C99 without any library, ONNX, and what they take of a small processor.

Names load on first use: most need torch, which takes seconds to import.
"""

from __future__ import annotations

from assay.core.lazy_names import lazy_names

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
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
