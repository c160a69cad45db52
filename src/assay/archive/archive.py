"""The archive itself: admit, search, show. Each call is a transaction of its own; `opening` makes one ready."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sqlalchemy import Connection, select

from assay.archive import queries
from assay.archive.admission import Admissible, check_admissible
from assay.archive.database import Database
from assay.archive.entry import LISTED, Entry, Match, Row, entry_of, row_of
from assay.archive.operators import OperatorSignature, shares_an_operator, similarity
from assay.archive.tables import KERNELS, OPERATORS
from assay.core.sources import Candidate, Task
from assay.core.strict_json import parse_object
from assay.errors import InputError

MOST_MATCHES = 1000


class Outcome(Enum):
    """What became of a certificate that was offered."""

    ADMITTED = "admitted"
    """It is in the archive now and was not before."""
    KNOWN = "known"
    """It was there already."""
    REFUSED = "refused"
    """It may not enter; the reason says why."""


@dataclass(frozen=True, slots=True)
class Admission:
    """What became of one certificate: its identity, and the fingerprint of the key that signed it."""

    outcome: Outcome
    identity: str
    signed_by: str


@dataclass(frozen=True, slots=True)
class Found:
    """One kernel with its certificate, whose signature was checked again when it was read."""

    entry: Entry
    certificate: dict[str, Any]

    @property
    def candidate(self) -> Candidate:
        """The sources, as text; only the sandbox runs them."""
        return Candidate.from_json(self.certificate["candidate"])

    @property
    def task(self) -> Task:
        """What it was certified for."""
        return Task.from_json(self.certificate["task"])


class Archive:
    """Certified kernels. Threads and forked processes may share it; every method raises the errors of `faults`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def where(self) -> str:
        """The archive's path or URL, without a password."""
        return self._database.where

    def admit(
        self, certificate: Mapping[str, Any] | Admissible, operators: OperatorSignature | None = None
    ) -> Admission:
        """Let a certificate in that accepts and whose signature verifies; again, it is known and nothing changes.

        `operators` is the caller's word: it is kept for searching and is no part of the certificate. The first one
        stays; a kernel that came without gets it later. Raises InputError, saying why, for what may not enter.
        """
        offered = certificate
        checked = offered if isinstance(offered, Admissible) else check_admissible(offered, "certificate")
        row = row_of(checked.certificate, checked.signed_by)
        with self._database.writing() as connection:
            if operators is not None:
                queries.insert_new(connection, OPERATORS, queries.operators_row(operators))
            row["operators_identity"] = operators.identity if operators else None
            is_new = queries.insert_new(connection, KERNELS, row)
            if not is_new and operators is not None:
                connection.execute(queries.fill_in_operators(row["identity"], operators.identity))
        return Admission(Outcome.ADMITTED if is_new else Outcome.KNOWN, row["identity"], checked.signed_by)

    def search(
        self, signature: OperatorSignature | None = None, text: str = "", *, exact: bool = False, limit: int = 20
    ) -> tuple[Match, ...]:
        """Kernels for tasks like this, best first.

        With a signature: by similarity, and of equal ones the faster first (by the lower end of the interval); only
        those that share an operator, or with `exact` only those of this very signature. `text` narrows: each of its
        words occurs in a name or a source, whatever its case; where more words are in names, the kernel comes first.
        Raises InputError for a limit or text out of bounds.
        """
        if not 1 <= limit <= MOST_MATCHES:
            raise InputError("The limit is out of bounds.", value=str(limit), rule=f"1 to {MOST_MATCHES}")
        words = queries.split_words(text)
        with self._database.reading() as connection:
            if signature is None:
                rows = connection.execute(queries.listing(words).limit(limit)).mappings()
                return tuple(Match(self._entry(row), None) for row in rows)
            return self._alike(connection, signature, words, exact, limit)

    def show(self, prefix: str) -> Found:
        """The one kernel whose certificate's or candidate's identity begins so.

        Raises InputError for none, for several (listing them), and for a certificate that was changed in the archive.
        """
        wanted = prefix.strip().lower()
        if not re.fullmatch(r"[0-9a-f]{1,64}", wanted):
            raise _unknown("This is no identity.", repr(prefix)[:80])
        with self._database.reading() as connection:
            rows = connection.execute(queries.beginning_with(wanted).limit(6)).mappings().all()
        exact = [row for row in rows if row["identity"] == wanted]
        if len(exact or rows) == 1:
            return self._found((exact or rows)[0])
        if not rows:
            raise _unknown("The archive has no such kernel.", f"{wanted!r} in {self.where}")
        choices = ", ".join(f"{row['identity'][:16]} ({row['candidate_name'][:30]})" for row in rows[:5])
        raise _unknown("More than one kernel begins so.", wanted, f"Choose one of: {choices}.")

    def certificates(self) -> Generator[tuple[dict[str, Any], OperatorSignature | None], None, None]:
        """Every certificate with its operators, oldest first, as one state of the archive; for sharing."""
        with self._database.reading() as connection:
            for row in connection.execution_options(yield_per=20).execute(queries.everything()).mappings():
                yield self._json(row, "certificate"), self._operators(row)

    def _alike(
        self, connection: Connection, signature: OperatorSignature, words: tuple[str, ...], exact: bool, limit: int
    ) -> tuple[Match, ...]:
        known = {row["identity"]: self._operators(row) for row in connection.execute(select(OPERATORS)).mappings()}
        ranked = sorted(
            (-similarity(signature, other), identity)
            for identity, other in known.items()
            if other and (identity == signature.identity if exact else shares_an_operator(signature, other))
        )
        matches: list[Match] = []
        for distance, identity in ranked:
            query = queries.listing(words).where(KERNELS.c.operators_identity == identity)
            rows = connection.execute(query.limit(limit - len(matches))).mappings()
            matches += [Match(self._entry(row), -distance) for row in rows]
            if len(matches) == limit:
                break
        return tuple(matches)

    def _found(self, row: Row) -> Found:
        source = f"{self.where}: {row['identity']}"
        checked = check_admissible(self._json(row, "certificate"), source)
        written = row_of(checked.certificate, checked.signed_by) | {"admitted": row["admitted"]}
        other = [name for name in LISTED if row[name] != written[name]]
        if other:
            raise self._damaged(row, f"its {other[0]} is not the certificate's")
        return Found(self._entry(row), checked.certificate)

    def _entry(self, row: Row) -> Entry:
        try:
            return entry_of(row, self._operators(row))
        except ValueError as error:
            raise self._damaged(row, str(error)) from error

    def _operators(self, row: Row) -> OperatorSignature | None:
        if row["signature"] is None:
            return None
        try:
            return OperatorSignature.from_json(self._json(row, "signature"))
        except ValueError as error:
            raise self._damaged(row, str(error)) from error

    def _json(self, row: Row, column: str) -> dict[str, Any]:
        try:
            if not isinstance(row[column], str):
                raise ValueError("not text")
            return parse_object(row[column].encode())
        except ValueError as error:
            raise self._damaged(row, f"{column}: {error}") from error

    def _damaged(self, row: Row, why: str) -> InputError:
        return InputError(
            "An entry of the archive was changed or damaged.",
            value=f"{self.where}: {row['identity']}: {why}"[:300],
            rule="entries are only written by admitting a certificate",
            next_step="Restore the archive from a copy; find out who else writes to it.",
        )


def _unknown(what: str, value: str, next_step: str = "Find its identity with assay archive search.") -> InputError:
    rule = "the first digits, in hexadecimal, of a certificate's or candidate's identity"
    return InputError(what, value=value, rule=rule, next_step=next_step)
