"""A certified kernel as the archive lists it, and as a row; the certificate itself stays the source of all of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from assay.archive.operators import OperatorSignature


@dataclass(frozen=True, slots=True)
class Entry:
    """What is shown of a certified kernel.

    `identity` is the certificate's; one candidate can have several, from other machines or times. `speedup` lies
    between `lower` and `upper` at `confidence`. `signed_by` is a key's fingerprint. None: the certificate says why.
    """

    identity: str
    candidate_identity: str
    candidate_name: str
    language: str
    flags: tuple[str, ...]
    proposer: str | None
    parent: str | None
    task_identity: str
    task_name: str
    axes: Mapping[str, int]
    speedup: float
    lower: float
    upper: float
    confidence: float
    machine_identity: str
    torch: str | None
    signed_by: str
    created: str
    admitted: str
    operators: OperatorSignature | None

    def to_json(self) -> dict[str, Any]:
        """A plain mapping."""
        shown = {name: value for name, value in asdict(self).items() if name != "operators"}
        operators = self.operators.to_json() if self.operators else None
        return shown | {"flags": list(self.flags), "axes": dict(self.axes), "operators": operators}


@dataclass(frozen=True, slots=True)
class Match:
    """A kernel that a search found. `similarity` is None where no signature was asked for."""

    entry: Entry
    similarity: float | None


Row = Mapping[Any, Any]
"""A row by its columns' names, as SQLAlchemy gives it, whose keys can be columns too."""

LISTED = tuple(name for name in Entry.__slots__ if name != "operators")
"""The columns that a row and an entry have in common."""

_NUMBERS = ("speedup", "lower", "upper", "confidence")
_ABSENT = ("proposer", "parent", "torch")


def row_of(certificate: Mapping[str, Any], signed_by: str) -> dict[str, Any]:
    """The row of an admissible certificate; its operators are the caller's affair."""
    task, candidate, speedup = (certificate[part] for part in ("task", "candidate", "speedup"))
    row = {
        "identity": certificate["identity"],
        "candidate_identity": candidate["identity"],
        "candidate_name": candidate["name"],
        "language": candidate["language"],
        "flags": json.dumps(candidate["flags"]),
        "proposer": candidate["proposer"],
        "parent": candidate["parent"],
        "task_identity": task["identity"],
        "task_name": task["name"],
        "axes": json.dumps(certificate["axes"]),
        "speedup": float(speedup["ratio"]),
        **{name: float(speedup[name]) for name in ("lower", "upper", "confidence")},
        "machine_identity": certificate["machine"]["identity"],
        "torch": certificate["machine"]["torch"],
        "signed_by": signed_by,
        "created": certificate["created"],
        "admitted": datetime.now(UTC).isoformat(timespec="seconds"),
        "candidate_sources": json.dumps(candidate["files"]),
        "task_sources": json.dumps(task["files"]),
        "names": _names(certificate),
        "searchable": _searchable(certificate),
        "certificate": json.dumps(certificate),
    }
    return {name: storable(value) if isinstance(value, str) else value for name, value in row.items()}


def entry_of(row: Row, operators: OperatorSignature | None) -> Entry:
    """The entry of a row with the columns LISTED; raises ValueError for a row that was not written here."""
    listed = {name: row[name] for name in LISTED}
    for name, value in listed.items():  # SQLite keeps any type in any column
        absent = value is None and name in _ABSENT
        if not absent and not isinstance(value, float if name in _NUMBERS else str):
            raise ValueError(f"its {name} makes no sense")
    flags, axes = json.loads(listed["flags"]), json.loads(listed["axes"])
    if not isinstance(flags, list) or not isinstance(axes, dict):
        raise ValueError("its flags or axes make no sense")
    return Entry(**(listed | {"flags": tuple(flags), "axes": axes}), operators=operators)


def storable(text: str) -> str:
    """Text that every database keeps: PostgreSQL has no NUL, and no encoding has half of a surrogate pair."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def folded(text: str) -> str:
    """Text as it is compared: letters of any case and script are equal, in every database alike."""
    return storable(text).casefold()


def _names(certificate: Mapping[str, Any]) -> str:
    """What a kernel is called; a word found here counts more than one in a source."""
    task, candidate = certificate["task"], certificate["candidate"]
    return folded(" ".join((task["name"], candidate["name"], candidate["proposer"] or "", candidate["language"])))


def _searchable(certificate: Mapping[str, Any]) -> str:
    """The names and every line of the sources."""
    sources = (file["text"] for part in ("task", "candidate") for file in certificate[part]["files"])
    return "\n".join((_names(certificate), *map(folded, sources)))
