"""The file of results: one JSON for each machine, written whole after every row, under one set of settings."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from assay.errors import InputError
from assay.machine.survey import read_facts
from benchmarks.life.settings import Settings
from benchmarks.referee.results import ROOT, Results, conditions, sources_identity

DATA = ROOT / "docs" / "data" / "life"

Row = dict[str, Any]


class Record(Results):
    """Rows by suite and name. Held by one command at a time.

    Raises InputError where the file was made under other settings, or where another command holds it.
    """

    def __init__(self, path: Path, settings: Settings, *, quick: bool = False) -> None:
        try:
            super().__init__(path)
        except BlockingIOError as error:
            raise InputError("another run holds these results", value=str(path), next_step="let it end") from error
        fixed = {"settings": settings.identity, "quick": quick}
        found = {key: self.data.setdefault(key, value) for key, value in fixed.items()}
        if found != fixed:
            self.close()
            raise InputError(
                "these results were made under other settings",
                value=f"{path}: {found}",
                rule=f"one file holds results of {fixed}",
                next_step="give another file with --json, or restore the settings",
            )
        self._sources = sources_identity()
        self.data["machine"] = read_facts().to_json()

    def __enter__(self) -> Record:
        return self

    def rows(self, suite: str) -> list[Row]:
        """All rows of a suite, in the order in which they came."""
        found: list[Row] = self.data["suites"].setdefault(suite, [])
        return found

    def has(self, suite: str, name: str) -> bool:
        """Whether a row is done."""
        return any(row["name"] == name for row in self.rows(suite))

    def add(self, suite: str, *rows: Row) -> None:
        """Keep rows in place of those of the same names, at once on disk, with the load that they ran under."""
        names = {row["name"] for row in rows}
        kept = [row for row in self.rows(suite) if row["name"] not in names]
        circumstances = {
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "load": conditions()["load"],
            "sources": self._sources,
        }
        self.data["suites"][suite] = kept + [{**row, **circumstances} for row in rows]
        self.save()
