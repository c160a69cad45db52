"""The file of results: one JSON for each machine, written whole after every line, under one set of frozen settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.referee.results import ROOT, FixedResults
from benchmarks.tickets.images import Parts
from benchmarks.tickets.lines import LINES, Row, Run
from benchmarks.tickets.settings import Settings

DATA = ROOT / "docs" / "data" / "tickets"


class Record(FixedResults):
    """The lines that are done, by name, each with a row for every training. Held by one command at a time.

    Raises InputError where the file was made under other settings or on other images, or where another command holds
    it.
    """

    def __init__(self, path: Path, settings: Settings, parts: Parts, *, quick: bool = False) -> None:
        images = {"images_sha256": parts.sha256, "test_images": len(parts.test.labels)}
        fixed = {"settings": settings.identity, **images, "quick": quick}
        super().__init__(path, fixed, "under other settings or on other images")
        self._settings = settings
        self._done: dict[str, Any] = self.data["suites"].setdefault("lines", {})

    def missing(self) -> list[Run]:
        """What is still to be done, seed by seed, so that pairs are whole early."""
        runs = [Run(seed, line) for seed in self._settings.seeds for line in LINES]
        return [run for run in runs if run.name not in self._done]

    def add(self, run: Run, rows: list[Row]) -> None:
        """Keep a line, at once on disk, with the sources and the load that it ran under."""
        self._done[run.name] = {**self.circumstances(), "rows": rows}
        self.save()
