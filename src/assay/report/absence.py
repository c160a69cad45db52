"""Why something is missing from a certificate: every null gets a reason, so that no one takes it for a zero."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from assay.core.verdicts import Verdict, Weight
from assay.referee.judgement import Judgement

_BY_NAME = {
    "right": "no output was verified",
    "parent": "the candidate names no parent",
    "proposer": "the candidate names no proposer",
    "fault": "nobody is at fault",
    "spawn_ms": "it was not measured",
    "floor": "no floor could be estimated",
    "compute_fraction": "no operations were counted, or their type has no measured peak",
    "ridge": "no operations were counted, or their type has no measured peak",
    "intensity": "no bytes have to move",
    "median_ns": "the variant did not work; its problem says why",
    "build_cpu_seconds": "it was not measured",
}
_BY_PART = {
    "artifact": "nothing was compiled: the candidate is Python, or did not build",
    "environment": "it is not installed, or gave no version",
    "findings": "the value was not a finite number",
    "declaration": "the task declares it so",
    "task": "the task declares it so",
}


def explain_nulls(certificate: Mapping[str, Any], judgement: Judgement) -> dict[str, str]:
    """A reason for every null, by its path (`claim.p_value`, `findings[0].fault`)."""
    reasons = {}
    for path in null_paths(certificate):
        top, name = path.split(".")[0].split("[")[0], path.rsplit(".", 1)[-1]
        if top == "machine":
            fact = path.split(".")[1].split("[")[0]
            reasons[path] = judgement.machine.unknown.get(fact, "this machine does not tell")
        elif top in ("claim", "speedup") and judgement.timing is not None:
            claim = judgement.timing.claim
            reasons[path] = "the claim is decided" if name == "reason" else claim.message
        elif path in ("audit", "baseline", "correctness", "timing", "isolation", "claim", "speedup"):
            reasons[path] = _not_reached(judgement)
        else:
            reasons[path] = _BY_NAME.get(name) or _BY_PART.get(top, "it is not known")
    return reasons


def null_paths(value: Any, path: str = "") -> Iterator[str]:
    """The paths of all nulls, in order."""
    if value is None:
        yield path
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from null_paths(each, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from null_paths(each, f"{path}[{index}]")


def _not_reached(judgement: Judgement) -> str:
    decisive = [finding for finding in judgement.findings if finding.weight is not Weight.NOTE]
    fatal = [finding for finding in decisive if finding.weight is Weight.FATAL]
    if judgement.verdict is Verdict.REJECT and fatal:
        return f"the judgement had ended with {fatal[0].code}"
    return "the judgement did not get that far" + (f": {decisive[0].code}" if decisive else "")
