"""Somebody's claim about models, looked at here: signature, its own evidence again, and the models themselves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay.checkpoints import read_folder
from assay.claims.decision import Decision
from assay.claims.held_out import load_held_out
from assay.claims.judging import judge_model
from assay.claims.measuring import Progress
from assay.claims.reading import decide_again
from assay.claims.replayed import ClaimReplay
from assay.claims.settings import ClaimSettings
from assay.core.verdicts import Verdict
from assay.errors import InputError
from assay.report.replay import Holds
from assay.report.signing import check_signature

Subjects = tuple[Path, Path, Path]
"""The folders of dense and cheap, and the data file."""


def replay_claim(claim: Mapping[str, Any], subjects: Subjects | None, progress: Progress) -> ClaimReplay:
    """Check a certificate that `read_claim` has read; with `subjects`, judge them again by its settings.

    Raises InputError for folders or data that are not those that were judged, and as `judge_model` does.
    """
    signature = check_signature(claim)
    if not signature.valid:
        return ClaimReplay(Holds.NO, f"the signature does not hold: {signature.reason}", signature, None)
    claimed, follows = Verdict(claim["verdict"]), decide_again(claim)
    if not _agrees(claim, follows):
        reason = f"claimed {claimed.value}; its own evidence says {follows.verdict.value}, or other numbers"
        return ClaimReplay(Holds.NO, reason, signature, None)
    if subjects is None:
        reason = "its own evidence gives the verdict again; the models were not judged: --dense, --cheap and --data do"
        return ClaimReplay(Holds.UNDECIDED, reason, signature, None)
    _check_subjects(claim, subjects)
    settings = ClaimSettings.from_json({**claim["settings"], "memory_bytes": 0})
    here = judge_model(*subjects, settings, progress).decision
    found = here.verdict
    if found is claimed:
        return ClaimReplay(Holds.YES, f"{found.value} again", signature, here)
    undecided = Verdict.INCONCLUSIVE in (claimed, found)
    reason = f"claimed {claimed.value}, here {found.value}"
    return ClaimReplay(Holds.UNDECIDED if undecided else Holds.NO, reason, signature, here)


def _agrees(claim: Mapping[str, Any], follows: Decision) -> bool:
    """Whether verdict, quality and costs are those that follow from the evidence."""
    found = follows.to_json()
    return all(_same(claim[part], found[part]) for part in ("verdict", "quality", "costs"))


def _same(told: Any, found: Any) -> bool:
    """Equal, but for the last digits of numbers."""
    if isinstance(told, Mapping) and isinstance(found, Mapping):
        return set(told) == set(found) and all(_same(told[key], found[key]) for key in found)
    if isinstance(told, float) and isinstance(found, float):
        return math.isclose(told, found, rel_tol=1e-9, abs_tol=1e-12)
    return bool(told == found)


def _check_subjects(claim: Mapping[str, Any], subjects: Subjects) -> None:
    for name, path in zip(("dense", "cheap"), subjects[:2], strict=True):
        found = read_folder(path).identity
        if found != claim[name]["identity"]:
            raise InputError(f"this is not the {name} model that was judged", value=f"{path}: {found[:12]}",
                             rule=f"the certificate is about {claim[name]['identity'][:12]}",
                             next_step="get the folder that the certificate is about, or judge this one")  # fmt: skip
    found = load_held_out(subjects[2]).digest()
    if found != claim["data"]["sha256"]:
        raise InputError("this is not the data that was judged with", value=f"{subjects[2]}: {found[:12]}",
                         rule=f"the certificate is about {claim['data']['sha256'][:12]}",
                         next_step="get the same file and data; the certificate has the file's text")  # fmt: skip
