"""A judgement as a certificate: one JSON object with all that it rests on and all that is needed to run it again.

Guaranteed: `identity` is the sha256 of everything else, so that two certificates with one identity say the same; every
null has a reason in `missing`; no number is NaN or infinite; raw samples are all there, in the order of the run.
Not guaranteed: that it is true. Anybody can write a file like this; `signing` says who signed it, and only running it
again says whether it holds. The version history stands beside the layout, in `schema`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from assay.core.config import JudgeConfig
from assay.core.identity import identity
from assay.core.sources import Candidate, Task
from assay.core.strict_json import MAX_BYTES, parse_object
from assay.errors import InputError
from assay.referee.judgement import Judgement
from assay.report import parts
from assay.report.absence import explain_nulls
from assay.report.coverage import covered, not_covered
from assay.report.evidence import read_samples
from assay.report.schema import SCHEMA, VERSION, check_layout, damaged

REPLAY_COMMAND = "assay verify certificate.json"
_REPLAY_NOTE = (
    "Judges the sources in this certificate again with the same settings, fresh processes and new secrets. Its secret "
    "key repeats every input that was drawn in this run."
)


def make_certificate(judgement: Judgement, *, created: datetime) -> dict[str, Any]:
    """The certificate of a judgement, unsigned. Raises ValueError for a `created` without time zone."""
    if created.tzinfo is None:
        raise ValueError("a certificate's time needs a time zone")
    certificate = parts.plain(_heading(judgement, created) | _sources(judgement) | _evidence(judgement))
    certificate["missing"] = parts.plain(explain_nulls(certificate, judgement))
    certificate["identity"] = certificate_identity(certificate)
    return dict(certificate)


def certificate_identity(certificate: Mapping[str, Any]) -> str:
    """sha256 over everything but `identity` and `signature`. Raises ValueError for what is no JSON."""
    return identity({key: value for key, value in certificate.items() if key not in ("identity", "signature")})


def certificate_bytes(certificate: Mapping[str, Any]) -> bytes:
    """The content of a certificate's file: one line for each part, so that two of them can be compared line by line."""
    lines = [f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in certificate.items()]
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def read_certificate(path: str | Path) -> dict[str, Any]:
    """A certificate from a file, checked for layout and identity; its signature is `check_signature`'s affair.

    Raises InputError for a file that cannot be read, is no certificate, is of a newer version, lacks parts, holds
    sources or samples that make no sense, or was changed.
    """
    path = Path(path)
    return parse_certificate(_read(path), str(path))


def parse_certificate(content: bytes, source: str) -> dict[str, Any]:
    """The same from bytes; `source` says in errors where they came from."""
    try:
        certificate = parse_object(content)
    except ValueError as error:
        raise damaged("This is not a certificate.", f"{source}: {error}") from error
    check_layout(certificate, source)
    try:
        found = certificate_identity(certificate)
    except ValueError as error:  # half of a surrogate pair: JSON can write it, no encoding of text can
        raise damaged("The certificate is damaged.", f"{source}: {error}"[:300]) from error
    if found != certificate["identity"]:
        raise damaged(
            "The certificate was changed after it was written.",
            f"{source}: identity {certificate['identity']}"[:200],
            "the identity is the sha256 of everything else in the certificate",
        )
    _check_meaning(certificate, source)
    return certificate


def _heading(judgement: Judgement, created: datetime) -> dict[str, Any]:
    claim = judgement.timing.claim if judgement.timing else None
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "created": created.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "verdict": judgement.verdict,
        "right": judgement.right,
        "speedup": claim.speedup.to_json() if claim and claim.speedup else None,
        "claim": claim.to_json() if claim else None,
        "findings": [finding.to_json() for finding in judgement.findings],
        "covered": covered(judgement),
        "not_covered": not_covered(judgement),
        "seconds": judgement.seconds,
    }


def _sources(judgement: Judgement) -> dict[str, Any]:
    return {
        "replay": {"command": REPLAY_COMMAND, "note": _REPLAY_NOTE},
        "secret": {"key": judgement.key.hex(), "commitment": judgement.commitment},
        "config": judgement.config.to_json(),
        "axes": judgement.axes,
        "declaration": judgement.declaration,
        "machine": parts.machine_to_json(judgement.machine),
        "environment": parts.environment_versions(judgement.machine),
        "task": judgement.task.to_json() | {"identity": judgement.task.identity},
        "candidate": judgement.candidate.to_json() | {"identity": judgement.candidate.identity},
        "artifact": parts.artifact_to_json(judgement),
    }


def _evidence(judgement: Judgement) -> dict[str, Any]:
    return {
        "audit": judgement.audit.to_json() if judgement.audit else None,
        "baseline": parts.baseline_to_json(judgement.baseline) if judgement.baseline else None,
        "correctness": parts.correctness_to_json(judgement.correctness) if judgement.correctness else None,
        "isolation": judgement.isolation.to_json() if judgement.isolation else None,
        "timing": parts.timing_to_json(judgement.timing) if judgement.timing else None,
    }


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(
            "The certificate cannot be read.",
            value=f"{path}: {error.strerror or error}",
            rule="a certificate is a JSON file; the one of a run is runs/ID/certificate.json",
            next_step="Check the path.",
        ) from error
    if len(content) > MAX_BYTES:
        raise damaged("The file is too large for a certificate.", str(path), f"at most {MAX_BYTES >> 20} MiB")
    return content


def _check_meaning(certificate: Mapping[str, Any], source: str) -> None:
    """Sources, settings and samples must be what `assay verify` and the page can work with."""
    try:
        task, candidate = Task.from_json(certificate["task"]), Candidate.from_json(certificate["candidate"])
        JudgeConfig.from_json(certificate["config"])
        datetime.fromisoformat(certificate["created"])
        if certificate["timing"] is not None:
            read_samples(certificate)
        same = (task.identity, candidate.identity) == tuple(certificate[k]["identity"] for k in ("task", "candidate"))
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise damaged("The certificate is damaged.", f"{source}: {error}"[:300]) from error
    if not same:
        raise damaged("The certificate is damaged.", f"{source}: the sources are not those of their identities")
