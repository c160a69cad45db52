"""Where the archive lies and one transaction at a time: SQLite in a file of this user's, PostgreSQL for a team.

Each transaction opens its own connection: none is held while a kernel is judged for minutes, none is inherited by a
forked process, and a server that was restarted in between is met by a fresh one. SQLite keeps its rollback journal:
one file that can be copied, on network folders too. A transaction that may write says so at its start (BEGIN
IMMEDIATE), for two SQLite readers that both want to write would wait for each other in vain.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from assay.archive.faults import told
from assay.errors import InputError, MachineError
from assay.machine.cache_dirs import HOME_VARIABLE, ensure_folder, find_dirs

VARIABLE = "ASSAY_ARCHIVE"
"""Names the archive of those who do not name one on the command line."""

FILE = "archive.db"
BUSY_S = 10.0
"""How long to wait for another writer; admitting one kernel takes some milliseconds."""

_CONNECT_S, _SILENT_MS = 10, 30_000
"""How long to wait for a server to answer, and for one that has stopped answering in between."""
_RULE = "a path, sqlite:///PATH, or postgresql://USER:PASSWORD@HOST:PORT/DATABASE"


def locate(location: str | None = None, environ: Mapping[str, str] | None = None) -> URL:
    """The archive's URL: from the argument, else from ASSAY_ARCHIVE, else a file among this user's data.

    Raises InputError for what is neither a path nor a URL of a known kind; a password never gets into the message.
    """
    given = location or (os.environ if environ is None else environ).get(VARIABLE)
    if not given:
        return URL.create("sqlite", database=str(find_dirs(environ).data / FILE))
    if "://" not in given:
        return URL.create("sqlite", database=str(Path(given).expanduser().absolute()))
    try:
        url = make_url(given)
    except (ArgumentError, ValueError) as error:
        raise _unusable_url(given.partition("://")[0] + "://...") from error
    kind = url.get_backend_name()
    if kind in ("postgres", "postgresql"):
        return url.set(drivername="postgresql+psycopg")
    if kind != "sqlite" or not url.database or url.database.startswith(("file:", ":")) or url.query:
        raise _unusable_url(describe(url))
    return URL.create("sqlite", database=str(Path(url.database).absolute()))


def describe(url: URL) -> str:
    """What may be shown of it: no password, and no parameters, which can hold one too."""
    if url.get_backend_name() == "sqlite" and url.database:
        return url.database
    return url.set(query={}).render_as_string(hide_password=True)


class Database:
    """Transactions on one archive; `where` names it in messages."""

    def __init__(self, url: URL, busy_s: float = BUSY_S) -> None:
        self.where = describe(url)
        self._file = Path(url.database or "") if url.get_backend_name() == "sqlite" else None
        self._engine = _sqlite(url, busy_s) if self._file else _postgresql(url, busy_s)

    @property
    def exists(self) -> bool:
        """Whether there can be anything: False where the file is not there."""
        return self._file is None or self._file.exists()

    def prepare_folder(self) -> None:
        """Make the folder that the file will lie in. Raises MachineError where that cannot be."""
        if self._file is not None:
            ensure_folder(self._file.parent)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the archive throughout. Raises the errors of `faults`."""
        with self._begun(writes=False) as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is kept whole when the block ends well, and not at all otherwise."""
        with self._begun(writes=True) as connection:
            yield connection

    @contextlib.contextmanager
    def _begun(self, writes: bool) -> Iterator[Connection]:
        level = {} if self._file else {"isolation_level": "READ COMMITTED" if writes else "REPEATABLE READ"}
        with told(self.where), self._engine.connect() as plain:
            connection = plain.execution_options(assay_writes=writes, **level)
            with connection.begin():
                yield connection


def _sqlite(url: URL, busy_s: float) -> Engine:
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": busy_s, "isolation_level": None})
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: Any, _record: Any) -> None:
    """A file may come from anybody: its schema calls nothing that has side effects."""
    connection.execute("PRAGMA trusted_schema = OFF")


def _on_begin(connection: Connection) -> None:
    """Python's sqlite3 would begin late and not at all before a CREATE; a migration must be one transaction."""
    writes = connection.get_execution_options().get("assay_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _postgresql(url: URL, busy_s: float) -> Engine:
    patience = f"-c lock_timeout={round(busy_s * 1000)} -c idle_in_transaction_session_timeout=600000"
    arguments = {"connect_timeout": _CONNECT_S, "tcp_user_timeout": _SILENT_MS, "options": patience}
    try:
        return create_engine(url, poolclass=NullPool, connect_args=arguments)
    except ImportError as error:
        raise MachineError(
            "The driver for PostgreSQL is not installed.",
            value=f"{describe(url)}: {error}"[:200],
            rule="an archive on a PostgreSQL server is reached through psycopg",
            next_step=f"pip install 'assay[postgres]', or use a file: leave out --archive and {VARIABLE}.",
        ) from error


def _unusable_url(shown: str) -> InputError:
    return InputError(
        "This is no place for an archive.",
        value=shown[:200],
        rule=_RULE,
        next_step=f"Correct --archive or {VARIABLE}; without them it is a file under {HOME_VARIABLE}.",
    )
