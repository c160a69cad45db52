"""Kernels in: from a shared file, a certificate or a folder of runs, each entry by itself.

Reading evaluates nothing: every line is strict JSON of bounded size, every certificate goes the way of any other that
wants in. Guaranteed: what is admitted was signed as it stands. Not guaranteed: by whom (each line of the report has the
fingerprint), and the operators, which nobody signed: a false one can spoil a search and nothing else.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from assay.archive.admission import check_admissible
from assay.archive.archive import Archive, Outcome
from assay.archive.exporting import SCHEMA, VERSION, Progress
from assay.archive.operators import OperatorSignature
from assay.core.strict_json import MAX_BYTES, parse_object
from assay.errors import InputError
from assay.report.certificate import read_certificate
from assay.report.store import list_runs

MAX_LINES = 1_000_000
"""Beyond that a file is no archive of kernels; the report of an import has a line for each."""

_Offered = tuple[Mapping[str, Any], OperatorSignature | None]


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one entry. `place` is its line or path; `reason` is empty unless it was refused."""

    place: str
    outcome: Outcome
    identity: str | None
    signed_by: str | None
    reason: str

    def to_json(self) -> dict[str, Any]:
        """A plain mapping."""
        return {
            "place": self.place, "outcome": self.outcome.value, "identity": self.identity, "signed_by": self.signed_by,
            "reason": self.reason,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class ImportReport:
    """All entries in their order; `problem` says what is wrong with the file as a whole, empty for nothing."""

    entries: tuple[Imported, ...]
    problem: str = ""

    def count(self, outcome: Outcome) -> int:
        """How many entries ended so."""
        return sum(each.outcome is outcome for each in self.entries)

    @property
    def whole(self) -> bool:
        """Whether everything that was offered is in the archive now."""
        return not self.problem and not self.count(Outcome.REFUSED)

    def to_json(self) -> dict[str, Any]:
        """A plain mapping."""
        counts = {outcome.value: self.count(outcome) for outcome in Outcome}
        return counts | {"problem": self.problem, "entries": [each.to_json() for each in self.entries]}


def import_path(archive: Archive, path: Path, progress: Progress = lambda what, share: None) -> ImportReport:
    """Admit what a shared file, a certificate.json or a folder of runs holds; each entry by itself.

    An entry that may not enter is told in the report and stops nothing. Raises InputError for a path that is none of
    the three, and what the archive raises where it cannot be written; what was admitted before that stays.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return _import_runs(archive, path, progress)
        if stat.S_ISREG(mode):
            with path.open("rb") as file:
                if _is_heading(file.readline(1000), path):
                    return _import_lines(archive, file, progress)
            return ImportReport((_offer(archive, str(path), partial(_read_certificate, path)),))
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    raise _unreadable(path, "it is neither a file nor a folder")


def _is_heading(line: bytes, path: Path) -> bool:
    """Whether a shared file begins so. Raises InputError for one of a newer version."""
    try:
        heading = parse_object(line)
    except ValueError:
        return False
    if heading.get("schema") != SCHEMA:
        return False
    if heading.get("version") != VERSION:
        raise InputError(
            "The shared file was written by a newer Assay.", value=f"{path}: version {heading.get('version')!r}"[:200],
            rule=f"this Assay reads version {VERSION}", next_step="Update Assay, then import it again.",
        )  # fmt: skip
    return True


def _import_lines(archive: Archive, file: BinaryIO, progress: Progress) -> ImportReport:
    entries: list[Imported] = []
    size = max(os.fstat(file.fileno()).st_size, 1)
    for number, line in enumerate(_lines(file), 2):
        if number > MAX_LINES:
            return ImportReport(tuple(entries), f"it has more than {MAX_LINES} lines; the rest was not read")
        expected = _footer(line)
        if expected is not None:
            if file.read(1):
                return ImportReport(tuple(entries), "it goes on after its last line; the rest was not read")
            missing = f"it says {expected} entries and has {len(entries)}" if expected != len(entries) else ""
            return ImportReport(tuple(entries), missing)
        entries.append(_offer(archive, f"line {number}", partial(_parse, line)))
        progress("importing", file.tell() / size)
    return ImportReport(tuple(entries), "it was cut off: its last line, with the number of entries, is missing")


def _import_runs(archive: Archive, folder: Path, progress: Progress) -> ImportReport:
    runs = list_runs(folder)
    if not runs:
        raise _unreadable(folder, "there is no run in it")
    entries = []
    for number, run in enumerate(runs, 1):
        entries.append(_offer(archive, run.id, partial(_read_certificate, run.certificate)))
        progress("importing", number / len(runs))
    return ImportReport(tuple(entries))


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines of at most MAX_BYTES; of a longer one the first bytes, so that it is refused, and the rest is skipped."""
    while line := file.readline(MAX_BYTES + 1):
        yield line
        while len(line) > MAX_BYTES and not line.endswith(b"\n"):
            line = file.readline(MAX_BYTES + 1)


def _read_certificate(path: Path) -> _Offered:
    """Certificates do not say which operators their task has."""
    return read_certificate(path), None


def _parse(line: bytes) -> _Offered:
    """A line's certificate and operators; raises InputError for anything else."""
    if len(line) > MAX_BYTES:
        raise _no_entry(f"longer than {MAX_BYTES >> 20} MiB")
    try:
        data = parse_object(line)
        if set(data) != {"certificate", "operators"} or not isinstance(data["certificate"], dict):
            raise ValueError("an entry has a certificate and operators, and nothing else")
        operators = data["operators"]
        return data["certificate"], None if operators is None else OperatorSignature.from_json(operators)
    except ValueError as error:
        raise _no_entry(str(error)) from error


def _offer(archive: Archive, place: str, read: Callable[[], _Offered]) -> Imported:
    """Admit one entry or say why not; only what is wrong with the entry itself is caught."""
    identity = None
    try:
        certificate, operators = read()
        claimed = certificate.get("identity")
        identity = claimed[:64] if isinstance(claimed, str) else None
        checked = check_admissible(certificate, place)
    except InputError as error:
        reason = f"{error.what} {error.value.removeprefix(f'{place}: ')}".strip()
        return Imported(place, Outcome.REFUSED, identity, None, reason)
    admission = archive.admit(checked, operators)  # what the database reports is no entry's fault, and ends the import
    return Imported(place, admission.outcome, admission.identity, admission.signed_by, "")


def _footer(line: bytes) -> int | None:
    """The number of entries, from a shared file's last line; None for another line."""
    if len(line) > 100:
        return None
    try:
        data = parse_object(line)
    except ValueError:
        return None
    entries = data.get("entries")
    return entries if set(data) == {"entries"} and isinstance(entries, int) and not isinstance(entries, bool) else None


def _no_entry(why: str) -> InputError:
    return InputError("This line is no entry of an archive.", value=why[:200])


def _unreadable(path: Path, why: str) -> InputError:
    return InputError(
        "There is nothing to import here.", value=f"{path}: {why}",
        rule="a file that assay archive export wrote, a certificate.json, or a folder of runs",
        next_step="Check the path.",
    )  # fmt: skip
