"""The archive's tables, as the steps that led to them; a new archive takes them all, an old one those that it lacks.

The steps are a list of our own rather than a migration framework's: plain SQL that SQLite and PostgreSQL both read, run
in one transaction under a lock, so that an archive is at its old version or at the new one and never in between. A
framework would add a folder of generated scripts, a configuration and a table to own, and earns that with branches and
downgrades, neither of which exists here. A step that was published never changes; a change is a further step.
History: 1 kernels with their certificates. 2 the operators of a task, shared by all kernels for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, inspect, text

from assay.errors import InputError

VERSION_TABLE = "assay_archive"

_LOCK = 0x617373617900
"""Any number that no other program on a PostgreSQL server is likely to lock: "assay" in ASCII."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step: the version that it leads to, and what it does, statement by statement."""

    version: int
    statements: tuple[str, ...]


MIGRATIONS = (
    Migration(
        1,
        (
            """CREATE TABLE assay_kernels (
  identity VARCHAR(64) NOT NULL PRIMARY KEY, candidate_identity VARCHAR(64) NOT NULL, candidate_name TEXT NOT NULL,
  language TEXT NOT NULL, flags TEXT NOT NULL, proposer TEXT, parent TEXT, task_identity VARCHAR(64) NOT NULL,
  task_name TEXT NOT NULL, axes TEXT NOT NULL, speedup DOUBLE PRECISION NOT NULL, lower DOUBLE PRECISION NOT NULL,
  upper DOUBLE PRECISION NOT NULL, confidence DOUBLE PRECISION NOT NULL, machine_identity TEXT NOT NULL, torch TEXT,
  signed_by TEXT NOT NULL, created TEXT NOT NULL, admitted TEXT NOT NULL, candidate_sources TEXT NOT NULL,
  task_sources TEXT NOT NULL, names TEXT NOT NULL, searchable TEXT NOT NULL, certificate TEXT NOT NULL)""",
            "CREATE INDEX assay_kernels_candidate ON assay_kernels (candidate_identity)",
            "CREATE INDEX assay_kernels_task ON assay_kernels (task_identity)",
        ),
    ),
    Migration(
        2,
        (
            "CREATE TABLE assay_operators (identity VARCHAR(64) NOT NULL PRIMARY KEY, signature TEXT NOT NULL)",
            "ALTER TABLE assay_kernels ADD COLUMN operators_identity VARCHAR(64) REFERENCES assay_operators (identity)",
            "CREATE INDEX assay_kernels_operators ON assay_kernels (operators_identity)",
        ),
    ),
)
VERSION = MIGRATIONS[-1].version


def read_version(connection: Connection, where: str) -> int | None:
    """The version of the archive that lies here, None for an empty database.

    Raises InputError for a database of something else or of a newer Assay.
    """
    tables = set(inspect(connection).get_table_names())
    if VERSION_TABLE not in tables:
        if tables and connection.dialect.name == "sqlite":  # a PostgreSQL database may well hold others' tables too
            raise _foreign(where, f"its tables are {', '.join(sorted(tables)[:5])}")
        return None
    if [column["name"] for column in inspect(connection).get_columns(VERSION_TABLE)] != ["version"]:
        raise _foreign(where, f"its table {VERSION_TABLE} is another's")
    versions = connection.execute(text(f"SELECT version FROM {VERSION_TABLE}")).scalars().all()
    if len(versions) != 1 or not isinstance(versions[0], int) or versions[0] < 1:
        raise _foreign(where, f"its version is {versions!r}"[:60])
    if versions[0] > VERSION:
        raise InputError(
            "The archive was written by a newer Assay.",
            value=f"{where}: version {versions[0]}",
            rule=f"this Assay reads archives up to version {VERSION}",
            next_step="Update Assay, or name another archive with --archive. The archive was left as it is.",
        )
    return versions[0]


def migrate(connection: Connection, where: str, upto: int = VERSION) -> None:
    """Bring the archive to version `upto`, within the caller's transaction, which must hold the right to write.

    Another process may have been here first: the version is read again under the lock.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    present = read_version(connection, where)
    if present is None:
        connection.execute(text(f"CREATE TABLE {VERSION_TABLE} (version INTEGER NOT NULL)"))
        connection.execute(text(f"INSERT INTO {VERSION_TABLE} (version) VALUES (0)"))
    for migration in MIGRATIONS:
        if (present or 0) < migration.version <= upto:
            for statement in migration.statements:
                connection.execute(text(statement))
            connection.execute(text(f"UPDATE {VERSION_TABLE} SET version = :version"), {"version": migration.version})


def _foreign(where: str, why: str) -> InputError:
    return InputError(
        "This database is not an archive of Assay.",
        value=f"{where}: {why}"[:300],
        rule="Assay writes only into its own archive or an empty database",
        next_step="Name an archive, or a file that does not exist yet, with --archive.",
    )
