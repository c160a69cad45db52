"""The journal of a search: one JSON object a line, appended and flushed to disk before the search goes on.

A search is a function of its journal: killed at any moment, it loses at most what was in flight. A last line without
its newline was never acknowledged and is dropped; a damaged line anywhere else is an error, since whatever follows
would be replayed on a wrong state.
Secrets: records are built from ideas, evaluations and settings only, never from proposers' own objects or the
environment. Free words in them are searched for what looks like a key (`without_secrets`); source text is not, for it
is the candidate's identity.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from assay.core.identity import canonical_json
from assay.errors import InputError
from assay.machine.folders import sync_folder

FILE_NAME = "search.jsonl"

SECRET = re.compile(
    r"\b(?:sk|pk|gh[opsu]|hf|xox[abp])[-_][\w-]{8,}|\bBearer\s+\S+|\b(?:api[_-]?key|token|password|secret)\b\s*[=:]\s*\S+",
    re.IGNORECASE,
)
"""Prefixes of common keys, and `name=value` with a telling name, as they appear in error messages of endpoints."""

Record = Mapping[str, Any]


class Ledger(Protocol):
    """Where a search writes what happened, and finds what happened before."""

    @property
    def records(self) -> tuple[Record, ...]:
        """Everything acknowledged so far, in order."""
        ...

    def append(self, record: Record) -> None:
        """Returns only once the record will survive a kill."""
        ...


class MemoryLedger:
    """For simulations: nothing survives."""

    def __init__(self, records: tuple[Record, ...] = ()) -> None:
        self._records = list(records)

    @property
    def records(self) -> tuple[Record, ...]:
        """See `Ledger`."""
        return tuple(self._records)

    def append(self, record: Record) -> None:
        """See `Ledger`."""
        self._records.append(record)


class FileLedger:
    """`search.jsonl` in a run folder, which is made if missing; one search at a time, by a lock on the file.

    Raises InputError for a damaged journal and for one that another search is writing.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / FILE_NAME
        self._file = open(self._path, "a+b", buffering=0)  # noqa: SIM115 - closed by `close`
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._file.seek(0)
            content = self._file.read()
            self._records = list(parse(content, str(self._path)))
        except BlockingIOError:
            self._file.close()
            raise InputError(
                "another search is writing this journal", value=str(self._path), next_step="choose another run folder"
            ) from None
        except InputError:
            self._file.close()
            raise
        self._file.truncate(content.rfind(b"\n") + 1)
        sync_folder(folder)

    @property
    def records(self) -> tuple[Record, ...]:
        """See `Ledger`."""
        return tuple(self._records)

    def append(self, record: Record) -> None:
        """See `Ledger`."""
        line = canonical_json(record) + b"\n"
        while line:
            line = line[self._file.write(line) :]
        os.fsync(self._file.fileno())
        self._records.append(record)

    def close(self) -> None:
        """Gives up the lock."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def parse(content: bytes, name: str) -> tuple[Record, ...]:
    """The records of a journal's bytes, without a torn last line. Raises InputError for any other damage."""
    records = []
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise InputError(
                "the journal is damaged",
                value=f"{name}, line {number}: {line[:60]!r}",
                rule="every line but an unfinished last one is a JSON object",
                next_step="cut the file before this line, or start in another folder",
            )
        records.append(record)
    return tuple(records)


def without_secrets(words: str) -> str:
    """Words with whatever looks like a key left out."""
    return SECRET.sub("[left out]", words)
