"""The layout of a claim's certificate: its version and history, and a check that a file has that layout.

Version history:
  1  the first.
  2  null calls are in the samples, and what they took off each time is in the costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assay.core.verdicts import Verdict, Weight
from assay.errors import InputError
from assay.report.schema import ANY, COUNT, FLAG, MACHINE, NUMBER, TEXT, MapOf, Maybe, Optional, layout_problems

SCHEMA, VERSION = "assay-model-claim", 2

_FINDING = {"code": TEXT, "weight": TEXT, "message": TEXT, "fault": Optional(TEXT), "data": MapOf(ANY)}
_RATIO = Optional({"ratio": NUMBER, "lower": NUMBER, "upper": NUMBER, "rounds": COUNT})
_MODEL = {
    "name": TEXT, "identity": TEXT, "files": MapOf(TEXT), "source": TEXT, "assay": TEXT, "seeds": [COUNT],
    "conversions": [{"name": TEXT, "settings": MapOf(ANY)}], "operations": Optional(COUNT),
}  # fmt: skip
_PAIRS = [[COUNT]]
_EVIDENCE = {
    "losses": {"dense": [[NUMBER]], "cheap": [[NUMBER]]}, "batch": [COUNT], "again": [NUMBER],
    "samples": {"cost": [TEXT], "round": [COUNT], "wall_ns": _PAIRS, "cpu_ns": _PAIRS, "preempted_ns": _PAIRS,
                "null_ns": Maybe(_PAIRS), "peak_bytes": _PAIRS, "weights_bytes": _PAIRS},
    "absent": MapOf(TEXT), "causal_checks": COUNT, "findings": [_FINDING],
}  # fmt: skip
LAYOUT: dict[str, Any] = {
    "schema": TEXT, "version": COUNT, "created": TEXT, "identity": TEXT, "verdict": TEXT, "seconds": NUMBER,
    "settings": {
        "margin": TEXT, "costs": [TEXT], "at_most": NUMBER, "rounds": COUNT, "turns": COUNT, "threads": COUNT,
        "seeds": Optional([COUNT]), "memory_bytes": COUNT, "call_timeout_s": NUMBER,
    },
    "data": {"name": TEXT, "text": TEXT, "sha256": TEXT, "score": TEXT, "unit": TEXT, "causal": FLAG, "trains": FLAG,
             "batches": COUNT, "examples": COUNT},
    "dense": _MODEL, "cheap": _MODEL, "judged_seeds": [COUNT],
    "quality": Optional({
        "dense": NUMBER, "cheap": NUMBER, "difference": NUMBER, "lower": NUMBER, "upper": NUMBER, "units": COUNT,
        "seeds": COUNT, "examples": COUNT,
    }),
    "costs": MapOf({"clock": TEXT, "dense": Optional(NUMBER), "cheap": Optional(NUMBER), "ratio": _RATIO,
                    "wall": _RATIO, "overhead": Maybe(Optional(NUMBER)), "reason": TEXT}),
    "findings": [_FINDING], "evidence": _EVIDENCE,
    "isolation": Optional({"tier": TEXT, "held": [TEXT], "missing": [TEXT]}),
    "machine": MACHINE, "environment": MapOf(Optional(TEXT)), "secret": {"key": TEXT, "commitment": TEXT},
    "covered": [TEXT], "not_covered": [TEXT], "replay": {"command": TEXT, "note": TEXT}, "missing": MapOf(TEXT),
}  # fmt: skip
"""Every part, written as in assay.report.schema."""


def check_layout(data: Mapping[str, Any], source: str) -> None:
    """Raises InputError unless this is a claim's certificate of a version that this reader knows, with every part."""
    version = data.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise damaged(f"{source}: version {version!r}"[:200])
    if version > VERSION:
        raise InputError("The certificate was written by a newer Assay.", value=f"{source}: version {version}",
                         rule=f"this Assay reads versions up to {VERSION}", next_step="Update Assay.")  # fmt: skip
    for problem in layout_problems(data, LAYOUT, ""):
        raise damaged(f"{source}: {problem}"[:300])
    weights = [finding["weight"] for part in (data, data["evidence"]) for finding in part["findings"]]
    for value, kind in ((data["verdict"], Verdict), *((weight, Weight) for weight in weights)):
        if value not in [member.value for member in kind]:
            raise damaged(f"{source}: {value!r}"[:200])


def damaged(value: str) -> InputError:
    """The error for a file that cannot be read as a claim's certificate."""
    return InputError("The certificate is damaged.", value=value, rule=f"the layout of {SCHEMA}, version {VERSION}",
                      next_step="Get the file again from where it was written.")  # fmt: skip
