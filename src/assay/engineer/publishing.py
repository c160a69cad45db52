"""What an optimisation found, written where it lasts: runs, the search's page, the kernel's sources, the archive."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from assay.engineer.model import Part
from assay.engineer.optimize import Optimized
from assay.engineer.page.module import PartShown, Subject, render_whole
from assay.engineer.page.page import render_search
from assay.engineer.page.times import medians_ns
from assay.engineer.proposers.archived import remember
from assay.engineer.training.parts import StepPart
from assay.machine.cache_dirs import atomic_write
from assay.report.publish import publish
from assay.report.store import PAGE, Run


@dataclass(frozen=True, slots=True)
class Published:
    """The runs in the order judged, and the accepted one's certificate, if there is one."""

    runs: tuple[Run, ...]
    certificate: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A part of a model or of a training step, what its search found, in which folder, and what was published of it."""

    part: Part | StepPart
    found: Optimized
    folder: Path
    published: Published

    def to_json(self) -> dict[str, Any]:
        """A plain mapping."""
        return self.part.to_json(self.found) | {"runs": [str(run.folder) for run in self.published.runs]}


def publish_part(part: Part | StepPart, found: Optimized, folder: Path, runs: Path, archive: str = "") -> Outcome:
    """`publish_found` for a part."""
    return Outcome(part, found, folder, publish_found(part.task.name, found, folder, runs, archive))


def certificates_of(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Those that accept."""
    return [one.published.certificate for one in outcomes if one.published.certificate is not None]


def publish_found(name: str, found: Optimized, folder: Path, runs: Path, archive: str = "") -> Published:
    """Write everything: a run for every judgement, and into the search's `folder` its page, its result and the kernel.

    `name` is the task's; `archive` a path or URL, empty for none. Raises MachineError where it cannot be written.
    """
    written: list[tuple[dict[str, Any], Run]] = []
    accepted: dict[str, Any] | None = None
    for judgement in found.judgements:
        written.append(publish(judgement, runs))
        if judgement is found.accepted:
            accepted = written[-1][0]
            for file in judgement.candidate.files:
                atomic_write(folder / "kernel" / file.path, file.text.encode())
    atomic_write(folder / PAGE, render_search(name, found, written).encode())
    atomic_write(folder / "result.json", json.dumps(found.to_json(), indent=1).encode())
    if accepted is not None and archive:
        remember(archive, accepted, found.graph)
    return Published(tuple(run for _, run in written), accepted)


def publish_whole(
    subject: Subject, outcomes: Sequence[Outcome], left_out: Mapping[str, str], whole: Mapping[str, Any] | None,
    runs: Path,
) -> tuple[Path, dict[str, Any]]:  # fmt: skip
    """The page of a whole model or training step, and the same as JSON beside it, in a folder of its own in `runs`.

    `whole` is its time before and after. Returns the page's path and what the JSON says. Raises MachineError where they
    cannot be written.
    """
    kind = "training" if subject.learning else "model"
    path = runs / f"{kind}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{subject.name}" / PAGE
    atomic_write(path, render_whole(subject, [_shown(outcome) for outcome in outcomes], left_out, whole).encode())
    result = {"parts": [outcome.to_json() for outcome in outcomes], "left_out": dict(left_out), "whole": whole}
    result |= {"learning": subject.learning} if subject.learning else {}
    atomic_write(path.parent / "result.json", json.dumps(result, indent=1).encode())
    return path, result | {"page": str(path)}


def _shown(outcome: Outcome) -> PartShown:
    part, certificate = outcome.part, outcome.published.certificate
    run = outcome.published.runs[-1] if outcome.published.runs else None
    return PartShown(
        part.name, part.share, outcome.found.words, _gain(certificate) if certificate else 1.0, certificate,
        f"assay verify {run.certificate}" if run else "", f"../{outcome.folder.name}/{PAGE}",
        f"../{run.id}/{PAGE}" if run else "",
    )  # fmt: skip


def _gain(certificate: Mapping[str, Any]) -> float:
    """Over eager, of which the shares are; over the baseline where eager was not timed."""
    medians = medians_ns(certificate)
    return medians["eager"] / medians["candidate"] if "eager" in medians else float(certificate["speedup"]["ratio"])
