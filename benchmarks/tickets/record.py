"""The file of results: one JSON for each machine, written whole after every line, under one set of frozen settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from assay.errors import InputError
from assay.machine.survey import read_facts
from benchmarks.moe.record import now
from benchmarks.referee.results import ROOT, Results, conditions, sources_identity
from benchmarks.tickets.images import Parts
from benchmarks.tickets.lines import LINES, Row, Run
from benchmarks.tickets.settings import Settings

DATA = ROOT / "docs" / "data" / "tickets"


class Record(Results):
    """The lines that are done, by name, each with a row for every training. Held by one command at a time.

    Raises InputError where the file was made under other settings or on other images, or where another command holds
    it.
    """

    def __init__(self, path: Path, settings: Settings, parts: Parts, *, quick: bool = False) -> None:
        try:
            super().__init__(path)
        except BlockingIOError as error:
            raise InputError("another run holds these results", value=str(path), next_step="let it end") from error
        images = {"images_sha256": parts.sha256, "test_images": len(parts.test.labels)}
        fixed = {"settings": settings.identity, **images, "quick": quick}
        found = {key: self.data.setdefault(key, value) for key, value in fixed.items()}
        if found != fixed:
            self.close()
            raise InputError(
                "these results were made under other settings or on other images",
                value=f"{path}: {found}",
                rule=f"one file holds results of {fixed}",
                next_step="give another file with --json, or restore the settings",
            )
        self._settings, self._sources = settings, sources_identity()
        self.data["machine"] = read_facts().to_json()
        self._done: dict[str, Any] = self.data["suites"].setdefault("lines", {})

    def __enter__(self) -> Record:
        return self

    def missing(self) -> list[Run]:
        """What is still to be done, seed by seed, so that pairs are whole early."""
        runs = [Run(seed, line) for seed in self._settings.seeds for line in LINES]
        return [run for run in runs if run.name not in self._done]

    def add(self, run: Run, rows: list[Row]) -> None:
        """Keep a line, at once on disk, with the sources and the load that it ran under."""
        self._done[run.name] = {
            "when": now(), "load": conditions()["load"], "sources": self._sources, "rows": rows
        }  # fmt: skip
        self.save()
