"""What an optimisation found, written where it lasts: runs, the search's page, the kernel's sources, the archive."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.engineer.optimize import Optimized
from assay.engineer.page.page import render_search
from assay.engineer.proposers.archived import remember
from assay.machine.cache_dirs import atomic_write
from assay.report.publish import publish
from assay.report.store import PAGE, Run


@dataclass(frozen=True, slots=True)
class Published:
    """The runs in the order judged, and the accepted one's certificate, if there is one."""

    runs: tuple[Run, ...]
    certificate: dict[str, Any] | None


def publish_found(name: str, found: Optimized, folder: Path, runs: Path, archive: str = "") -> Published:
    """Write everything: a run for every judgement, and into the search's `folder` its page, its result and the kernel.

    `name` is the task's; `archive` a path or URL, empty for none. Raises MachineError where it cannot be written.
    """
    written: list[Run] = []
    accepted: dict[str, Any] | None = None
    for judgement in found.judgements:
        certificate, run = publish(judgement, runs)
        written.append(run)
        if judgement is found.accepted:
            accepted = certificate
            for file in judgement.candidate.files:
                atomic_write(folder / "kernel" / file.path, file.text.encode())
    page = f"../{written[-1].id}/{PAGE}" if accepted is not None else ""
    atomic_write(folder / PAGE, render_search(name, found, page).encode())
    atomic_write(folder / "result.json", json.dumps(found.to_json(), indent=1).encode())
    if accepted is not None and archive:
        remember(archive, accepted, found.graph)
    return Published(tuple(written), accepted)
