"""Opening the archive: found or made, recognised, and brought to the present version before anything is asked of it."""

from __future__ import annotations

from assay.archive.archive import Archive
from assay.archive.database import BUSY_S, Database, locate
from assay.archive.migrations import VERSION, migrate, read_version
from assay.errors import InputError


def open_archive(location: str | None = None, *, create: bool = True, busy_s: float = BUSY_S) -> Archive:
    """The archive at a path or URL (default: ASSAY_ARCHIVE, else this user's own), brought to the present version.

    Args:
        location: a path, sqlite:///PATH or postgresql://...
        create: make it where there is none; False for those who only read, so that a mistyped path is told.
        busy_s: how long to wait for another writer, in seconds.

    Raises the errors of `locate`, `migrations` and `faults`, and InputError where there is none and none is made.
    """
    database = Database(locate(location), busy_s)
    if create:
        database.prepare_folder()
    elif not database.exists:
        raise _none_here(database.where)
    with database.reading() as connection:
        version = read_version(connection, database.where)
    if version is None and not create:
        raise _none_here(database.where)
    if version != VERSION:
        with database.writing() as connection:
            migrate(connection, database.where)
    return Archive(database)


def _none_here(where: str) -> InputError:
    return InputError(
        "There is no archive here yet.",
        value=where,
        rule="the archive is made when the first kernel enters",
        next_step="Bring certified kernels in with assay archive import PATH, or name another with --archive.",
    )
