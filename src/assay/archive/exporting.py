"""The archive as one file for others: a heading, a line for each kernel, and a last line with their number.

Each line is a JSON object; a kernel's has its certificate, and its operators or null. By the last line a file that was
cut off shows; `importing` reads it.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from assay.archive.archive import Archive
from assay.errors import InputError, MachineError

SCHEMA, VERSION = "assay-archive-export", 1

Progress = Callable[[str, float], None]


def export_file(archive: Archive, path: Path, progress: Progress = lambda what, share: None) -> int:
    """Write the whole archive to a new file, there whole or not at all; returns the number of kernels.

    Raises InputError for a file that exists already, MachineError for a folder that cannot be written or a full disk.
    """
    if path.exists():
        raise InputError(
            "There is a file of this name already.", value=str(path), rule="an export never replaces a file",
            next_step="Choose another name, or move it away.",
        )  # fmt: skip
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:80]}.", suffix=".tmp")
        try:
            with open(descriptor, "wb") as file:
                count = _write(archive, file, progress)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
    except OSError as error:
        raise MachineError(
            "The archive cannot be exported.", value=f"{path}: {error.strerror or error}",
            rule="an export takes about 0.1 MB for each kernel in a folder that can be written",
            next_step="Free some space or choose another folder.",
        ) from error  # fmt: skip
    return count


def _write(archive: Archive, file: BinaryIO, progress: Progress) -> int:
    count = 0
    file.write(_line({"schema": SCHEMA, "version": VERSION}))
    with contextlib.closing(archive.certificates()) as certificates:
        for certificate, operators in certificates:
            file.write(_line({"certificate": certificate, "operators": operators.to_json() if operators else None}))
            count += 1
            progress("exporting", 0.0)
    file.write(_line({"entries": count}))
    return count


def _line(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, allow_nan=False).encode() + b"\n"
