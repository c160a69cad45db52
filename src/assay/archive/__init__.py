"""The archive: certified kernels in a database, found again by what they compute, and shared as files.

    from assay import archive

    shelf = archive.open_archive()
    shelf.admit(certificate, archive.OperatorSignature(("aten.softmax.int",), ("float32",), (2,)))
    shelf.search(signature)[0].entry.speedup

Names load on first use: SQLAlchemy costs every verb of the command line a fifth of a second, and most never call it.
"""

from __future__ import annotations

from assay.core.lazy_names import lazy_names

_HOMES = {
    "open_archive": "assay.archive.opening",
    "Archive": "assay.archive.archive",
    "Admission": "assay.archive.archive",
    "Found": "assay.archive.archive",
    "Match": "assay.archive.entry",
    "Entry": "assay.archive.entry",
    "OperatorSignature": "assay.archive.operators",
    "similarity": "assay.archive.operators",
    "export_file": "assay.archive.exporting",
    "import_path": "assay.archive.importing",
}

__all__ = [*_HOMES]
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
