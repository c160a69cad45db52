"""A judgement of two models as a certificate: of the same kind as a kernel's, in a schema of its own.

Guaranteed: `identity` is the sha256 of everything else; every null has a reason in `missing`; all raw losses and times
are there, so that the verdict can be computed from them again. Not guaranteed: that they are true. `signing` says who
signed it, and only judging again says whether it holds. Weights are not in it, their sha256 is.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from assay.claims import schema
from assay.claims.coverage import covered, not_covered
from assay.claims.judgement import ModelJudgement
from assay.core.verdicts import Weight
from assay.report import parts
from assay.report.absence import null_paths
from assay.report.certificate import certificate_identity

REPLAY_COMMAND = "assay verify certificate.json --dense DENSE --cheap CHEAP --data DATA.py"
_REPLAY_NOTE = (
    "Without the options: checks identity and signature, and computes the verdict from this certificate's own evidence "
    "again. With them: checks that folders and data are those that were judged, and judges them again here."
)


def make_claim(judgement: ModelJudgement, *, created: datetime) -> dict[str, Any]:
    """The certificate, unsigned. Raises ValueError for a `created` without time zone."""
    if created.tzinfo is None:
        raise ValueError("a certificate's time needs a time zone")
    stamp = created.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    claim: dict[str, Any] = parts.plain(
        {"schema": schema.SCHEMA, "version": schema.VERSION, "created": stamp}
        | judgement.decision.to_json()
        | _subjects(judgement)
        | {
            "settings": judgement.settings.to_json(), "evidence": judgement.evidence.to_json(),
            "isolation": judgement.isolation.to_json() if judgement.isolation else None,
            "machine": parts.machine_to_json(judgement.machine),
            "environment": parts.environment_versions(judgement.machine),
            "secret": {"key": judgement.key.hex(), "commitment": judgement.commitment},
            "covered": covered(judgement), "not_covered": not_covered(judgement),
            "replay": {"command": REPLAY_COMMAND, "note": _REPLAY_NOTE}, "seconds": judgement.seconds,
        }
    )  # fmt: skip
    claim["missing"] = parts.plain({path: _why(path, claim, judgement) for path in null_paths(claim)})
    claim["identity"] = certificate_identity(claim)
    return claim


def _subjects(judgement: ModelJudgement) -> dict[str, Any]:
    data = judgement.data
    found: dict[str, Any] = {
        "data": {
            "name": data.path.name, "text": data.text, "sha256": judgement.data_digest, "score": data.score_name,
            "unit": data.unit, "causal": data.causal, "trains": data.trains, "batches": len(data.batches),
            "examples": data.examples,
        },
        "judged_seeds": [seed for seed in judgement.seeds if seed is not None],
    }  # fmt: skip
    for side, key in enumerate(("dense", "cheap")):
        folder = judgement.folders[side]
        counted = judgement.evidence.operations[side] if judgement.evidence.operations else None
        found[key] = {
            "name": judgement.names[side], "identity": folder.identity, "files": dict(folder.files),
            "source": judgement.sources[side], "assay": folder.assay, "seeds": list(folder.seeds),
            "conversions": [one.to_json() for one in folder.conversions],
            "operations": counted if isinstance(counted, int) else None,
        }  # fmt: skip
    return found


def _why(path: str, claim: Mapping[str, Any], judgement: ModelJudgement) -> str:
    """The reason for one null."""
    keys = path.split(".")
    if keys[0] == "machine":
        return judgement.machine.unknown.get(keys[1].split("[")[0], "this machine does not tell")
    if keys[0] == "costs" and keys[-1] == "overhead":
        return "nothing was taken off: no time, too few null calls, or calls less than twice as long as those"
    if keys[0] == "costs":
        other_clock = "one clock was read; with one thread of CPU time the wall clock's ratio stands beside it"
        return claim["costs"][keys[1]]["reason"] or other_clock
    if keys[-1] == "operations":
        counted = judgement.evidence.operations
        return str(counted[("dense", "cheap").index(keys[0])]) if counted else "nothing was counted"
    if keys[-1] == "fault":
        return "nobody is at fault"
    fatal = [each.code for each in judgement.evidence.findings if each.weight is Weight.FATAL]
    known = {"quality": f"a check ended the judgement: {', '.join(fatal)}", "settings": "all that the folders hold",
             "environment": "it is not installed, or gave no version",
             "isolation": "no process reported its layers"}  # fmt: skip
    return known.get(keys[0], "the value was not a finite number")
