"""Reads certificates of either kind, and decides again from a claim's own evidence; needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from assay.claims import schema
from assay.claims.decision import Decision, decide
from assay.claims.evidence import Evidence
from assay.claims.settings import ClaimSettings
from assay.core.strict_json import parse_object
from assay.errors import InputError
from assay.report.certificate import check_identity, parse_certificate, read_bytes


def read_claim(path: str | Path) -> dict[str, Any]:
    """A claim's certificate from a file, checked for layout and identity. Raises InputError for anything else."""
    path = Path(path)
    return parse_claim(read_bytes(path), str(path))


def read_any(path: str | Path) -> dict[str, Any]:
    """A certificate of either kind, checked by its own reader; `is_claim` tells which. Raises InputError."""
    path = Path(path)
    content = read_bytes(path)
    try:
        kind = parse_object(content).get("schema")
    except ValueError:
        kind = None
    return parse_claim(content, str(path)) if kind == schema.SCHEMA else parse_certificate(content, str(path))


def is_claim(certificate: Mapping[str, Any]) -> bool:
    """Whether it is about models and not about a kernel."""
    return bool(certificate["schema"] == schema.SCHEMA)


def parse_claim(content: bytes, source: str) -> dict[str, Any]:
    """The same from bytes; `source` says in errors where they came from."""
    try:
        claim = parse_object(content)
    except ValueError as error:
        raise schema.damaged(f"{source}: {error}") from error
    if claim.get("schema") != schema.SCHEMA:
        raise schema.damaged(f"{source}: schema {claim.get('schema')!r}"[:200])
    schema.check_layout(claim, source)
    check_identity(claim, source)
    try:
        datetime.fromisoformat(claim["created"])
        decide_again(claim)
    except (InputError, ValueError, KeyError, TypeError, IndexError, OverflowError, ArithmeticError) as error:
        raise schema.damaged(f"{source}: {error}"[:300]) from error
    return claim


def decide_again(claim: Mapping[str, Any]) -> Decision:
    """What this certificate's own evidence says by the rules of this Assay. Raises what damaged evidence raises."""
    settings = ClaimSettings.from_json(claim["settings"])
    return decide(Evidence.from_json(claim["evidence"]), settings, claim["data"]["unit"])
