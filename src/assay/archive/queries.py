"""What is asked of the database, as SQLAlchemy's expressions: no text from anybody ever becomes SQL."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Select, Table, Update, case, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite

from assay.archive.entry import LISTED, folded
from assay.archive.operators import OperatorSignature
from assay.archive.tables import KERNELS, OPERATORS
from assay.errors import InputError

MAX_WORDS, MAX_TEXT = 20, 500

_LISTED = tuple(KERNELS.c[name] for name in LISTED)
_JOINED = KERNELS.outerjoin(OPERATORS, KERNELS.c.operators_identity == OPERATORS.c.identity)


def split_words(text: str) -> tuple[str, ...]:
    """The words of a search, folded as the columns are. Raises InputError for more than a person types."""
    words = tuple(dict.fromkeys(folded(text).split()))
    if len(text) > MAX_TEXT or len(words) > MAX_WORDS:
        raise InputError(
            "The text to search for is too long.",
            value=f"{len(text)} characters, {len(words)} words",
            rule=f"at most {MAX_TEXT} characters and {MAX_WORDS} words",
            next_step="Search for a few words of a name or a source.",
        )
    return words


def listing(words: tuple[str, ...]) -> Select[Any]:
    """Kernels in which every word occurs: first those with more of them in names, then the faster, then by identity."""
    query = select(*_LISTED, OPERATORS.c.signature).select_from(_JOINED)
    named: Any = literal(0)
    for word in words:
        query = query.where(KERNELS.c.searchable.contains(word, autoescape=True))
        named = named + case((KERNELS.c.names.contains(word, autoescape=True), 1), else_=0)
    order = [KERNELS.c.lower.desc(), KERNELS.c.identity]
    return query.order_by(named.desc(), *order) if words else query.order_by(*order)


def beginning_with(prefix: str) -> Select[Any]:
    """Kernels whose certificate's or candidate's identity begins so, with their certificates."""
    columns = (*_LISTED, OPERATORS.c.signature, KERNELS.c.certificate)
    fits = KERNELS.c.identity.startswith(prefix) | KERNELS.c.candidate_identity.startswith(prefix)
    return select(*columns).select_from(_JOINED).where(fits).order_by(KERNELS.c.identity != prefix, KERNELS.c.identity)


def everything() -> Select[Any]:
    """All certificates with their operators, in an order that does not depend on the database."""
    columns = (KERNELS.c.identity, KERNELS.c.certificate, OPERATORS.c.signature)
    return select(*columns).select_from(_JOINED).order_by(KERNELS.c.created, KERNELS.c.identity)


def operators_row(operators: OperatorSignature) -> dict[str, str]:
    """The row of a signature; its identity makes it the same for all kernels that have it."""
    return {"identity": operators.identity, "signature": json.dumps(operators.to_json())}


def insert_new(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert a row unless its identity is there, whoever else inserts it meanwhile; True where it was new."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table).values(row).on_conflict_do_nothing().returning(table.c.identity)
    return connection.execute(statement).first() is not None


def fill_in_operators(identity: str, operators_identity: str) -> Update:
    """Give a kernel that came without operators the ones that are known now."""
    lacks = (KERNELS.c.identity == identity) & KERNELS.c.operators_identity.is_(None)
    return update(KERNELS).where(lacks).values(operators_identity=operators_identity)
