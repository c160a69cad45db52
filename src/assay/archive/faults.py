"""What databases report, in Assay's words: whose fault it is and what to do; nothing of a half-done change is kept."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from assay.errors import AssayError, InputError, InternalError, MachineError

_KEPT = "what the archive held before is unchanged"
_Kind = tuple[type[AssayError], str, str]

_BUSY: _Kind = (
    MachineError, "Another process is writing to the archive and did not finish in time.",
    "Wait for it and try again; if none should be running, look for one that was stopped.",
)  # fmt: skip
_FULL: _Kind = (MachineError, "The archive cannot grow: the disk is full.", "Free some space and try again.")
_NO_PLACE: _Kind = (
    MachineError, "The archive's file cannot be opened or written.",
    "Check the path and the rights of the file and its folder, or name another archive with --archive.",
)  # fmt: skip
_DISK: _Kind = (
    MachineError, "The archive's disk reported an error, or is full.",
    "Free some space and check the disk, then try again.",
)  # fmt: skip
_DAMAGED: _Kind = (
    InputError, "The archive is damaged.",
    "Restore it from a copy, or from a shared file with assay archive import.",
)  # fmt: skip
_NO_DATABASE: _Kind = (
    InputError, "This file is not a database.",
    "Name an archive, or a file that does not exist yet; assay archive import takes shared files and certificates.",
)  # fmt: skip
_GONE: _Kind = (
    MachineError, "The archive's server cannot be reached or went away.",
    "Check that the server runs and that host and port are right, then try again.",
)  # fmt: skip
_NO_ENTRY: _Kind = (
    InputError, "The archive's server refuses this user.",
    "Check user, password, database and their rights in the archive's URL.",
)  # fmt: skip
_UNKNOWN: _Kind = (InternalError, "The archive's database reported what Assay does not know.", "Please report this.")

_SQLITE = {5: _BUSY, 6: _BUSY, 8: _NO_PLACE, 10: _DISK, 11: _DAMAGED, 13: _FULL, 14: _NO_PLACE, 23: _NO_PLACE,
           26: _NO_DATABASE}  # fmt: skip
"""SQLite's primary result codes (sqlite.org/rescode.html): BUSY, LOCKED, READONLY, IOERR, CORRUPT, FULL, CANTOPEN,
AUTH, NOTADB."""

_POSTGRESQL = {"53100": _FULL, "55P03": _BUSY, "57014": _BUSY, "40001": _BUSY, "40P01": _BUSY, "25006": _NO_ENTRY,
               "42501": _NO_ENTRY, "3D000": _NO_ENTRY, "28": _NO_ENTRY, "08": _GONE, "57P": _GONE, "53": _GONE,
               "58": _DISK, "XX": _DAMAGED, "42P01": _DAMAGED, "42703": _DAMAGED}  # fmt: skip
"""SQLSTATE codes and classes (PostgreSQL's manual, appendix A); the longest that fits counts."""

_MANGLED = ("Could not decode to UTF-8", "no such table", "no such column")
"""Python's sqlite3 gives no code for text that is none, and SQLite none of its own for tables that are missing."""

_REFUSED = ("authentication failed", "does not exist", "no pg_hba.conf entry", "no password supplied")
"""psycopg gives no SQLSTATE for a connection that was refused; these words of the server's say that it was reached."""


@contextlib.contextmanager
def told(where: str) -> Iterator[None]:
    """Let an Assay error leave this block where a database's would; `where` names the archive, without a password."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise explain(error, where) from error


def explain(error: SQLAlchemyError | sqlite3.Error, where: str) -> AssayError:
    """The Assay error for a database's."""
    original = error.orig if isinstance(error, DBAPIError) else error
    kind, what, next_step = _kind(original, isinstance(error, DBAPIError) and error.connection_invalidated)
    words = " ".join(str(original or error).split())
    return kind(what, value=f"{where}: {words}"[:300], rule=_KEPT, next_step=next_step)


def _kind(original: BaseException | None, invalidated: bool) -> _Kind:
    if isinstance(original, sqlite3.Error):
        mangled = any(words in str(original) for words in _MANGLED)
        return _SQLITE.get(getattr(original, "sqlite_errorcode", 0) & 0xFF, _DAMAGED if mangled else _UNKNOWN)
    state = getattr(original, "sqlstate", None)
    if state:
        fitting = (_POSTGRESQL[state[:n]] for n in (5, 3, 2) if state[:n] in _POSTGRESQL)
        return next(fitting, _UNKNOWN)
    if type(original).__name__ == "OperationalError" or invalidated:
        return _NO_ENTRY if any(words in str(original) for words in _REFUSED) else _GONE
    return _UNKNOWN
