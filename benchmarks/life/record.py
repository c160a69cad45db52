"""The file of results: one JSON for each machine, written whole after every row, under one set of settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.life.settings import Settings
from benchmarks.referee.results import ROOT, FixedResults

DATA = ROOT / "docs" / "data" / "life"

Row = dict[str, Any]


class Record(FixedResults):
    """Rows by suite and name. Held by one command at a time.

    Raises InputError where the file was made under other settings, or where another command holds it.
    """

    def __init__(self, path: Path, settings: Settings, *, quick: bool = False) -> None:
        super().__init__(path, {"settings": settings.identity, "quick": quick})

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
        circumstances = self.circumstances()
        self.data["suites"][suite] = kept + [{**row, **circumstances} for row in rows]
        self.save()
