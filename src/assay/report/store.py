"""Runs on disk: `runs/ID/certificate.json` and `page.html`, there whole or not at all.

A run is written into a hidden sibling folder, synced, and renamed, so that a writer killed at any moment leaves a store
that opens. The writer holds a lock on its folder; leftovers are folders that nobody holds, and the next writer removes
them. IDs are the certificate's time and the start of its identity, so that they sort by time and saving a certificate
twice gives one run. Limits: locks do not reach across machines that share a folder over a network, where leftovers are
therefore only removed once they are a day old.
"""

from __future__ import annotations

import errno
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from assay.errors import InputError, MachineError
from assay.machine.cache_dirs import HOME_VARIABLE
from assay.machine.folders import locked, sync_folder, write_new
from assay.report.certificate import certificate_bytes, read_certificate

CERTIFICATE, PAGE = "certificate.json", "page.html"
_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{12}")
_HIDDEN = ".writing-"
_GRACE_S, _FOREIGN_S = 60, 86400
"""A folder younger than this may be between being made and being locked; one that cannot be locked may be foreign."""


@dataclass(frozen=True, slots=True)
class Run:
    """One finished run: its ID and its folder."""

    id: str
    folder: Path

    @property
    def certificate(self) -> Path:
        """The signed certificate."""
        return self.folder / CERTIFICATE

    @property
    def page(self) -> Path:
        """The same for people."""
        return self.folder / PAGE


def run_id(certificate: Mapping[str, Any]) -> str:
    """`20261122T064719Z-1a2b3c4d5e6f`."""
    created = datetime.fromisoformat(certificate["created"])
    return f"{created:%Y%m%dT%H%M%SZ}-{certificate['identity'][:12]}"


def save_run(folder: Path, certificate: Mapping[str, Any], page: str) -> Run:
    """Put a run into the store; the same certificate again is the same run.

    Raises MachineError for a folder that cannot be written or a full disk; nothing of the run is left then.
    """
    run = Run(run_id(certificate), folder / run_id(certificate))
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        remove_leftovers(folder)
        temporary = Path(tempfile.mkdtemp(dir=folder, prefix=_HIDDEN))
    except OSError as error:
        raise _cannot_save(folder, error) from error
    try:
        with locked(temporary):
            write_new(temporary / CERTIFICATE, certificate_bytes(certificate))
            write_new(temporary / PAGE, page.encode())
            sync_folder(temporary)
            _rename(temporary, run.folder)
        sync_folder(folder)
    except OSError as error:
        raise _cannot_save(folder, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return run


def list_runs(folder: Path) -> tuple[Run, ...]:
    """All finished runs, the latest first; none where there is no such folder. Raises MachineError if it is closed."""
    try:
        names = sorted((entry.name for entry in folder.iterdir() if _ID.fullmatch(entry.name)), reverse=True)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise MachineError(
            "The folder of runs cannot be read.",
            value=f"{folder}: {error.strerror or error}",
            rule="runs are folders in it",
            next_step=f"Check the path and its rights, or set {HOME_VARIABLE}.",
        ) from error
    return tuple(Run(name, folder / name) for name in names)


def load_run(
    folder: Path, id: str, read: Callable[[Path], dict[str, Any]] = read_certificate
) -> tuple[Run, dict[str, Any]]:
    """A run by its ID, an unambiguous part of it, or `latest`, with its certificate, checked by `read`.

    Raises InputError for an unknown or ambiguous ID (listing the choices) and for a damaged certificate.
    """
    runs = list_runs(folder)
    found = runs[:1] if id == "latest" else tuple(run for run in runs if id and id in run.id)
    if len(found) != 1:
        choices = ", ".join(run.id for run in (found or runs)[:5]) or "none yet"
        raise InputError(
            "There is no such run." if not found else "This ID fits more than one run.",
            value=f"{id!r} in {folder}"[:200],
            rule="an ID, a part of it that only one run has, or latest",
            next_step=f"Choose one of: {choices}.",
        )
    return found[0], read(found[0].certificate)


def remove_leftovers(folder: Path) -> int:
    """Remove what dead writers left behind, and tell how many; what a living writer holds is left alone."""
    removed = 0
    for path in folder.glob(f"{_HIDDEN}*"):
        if _is_dead(path):
            shutil.rmtree(path, ignore_errors=True)
            removed += 1
    return removed


def _is_dead(path: Path) -> bool:
    try:
        age_s = time.time() - path.stat().st_mtime
    except OSError:
        return False  # renamed or removed meanwhile
    if age_s < _GRACE_S:
        return False
    try:
        with locked(path):
            return True
    except BlockingIOError:
        return False
    except OSError:
        return age_s > _FOREIGN_S


def _rename(source: Path, target: Path) -> None:
    """rename(2) puts a folder in place at once, and refuses where the run already is."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or not (target / CERTIFICATE).is_file():
            raise


def _cannot_save(folder: Path, error: OSError) -> MachineError:
    return MachineError(
        "The run cannot be saved.",
        value=f"{folder}: {error.strerror or error}",
        rule="a run takes about 1 MB in a folder that can be written",
        next_step=f"Free some space, choose another folder, or set {HOME_VARIABLE}.",
    )
