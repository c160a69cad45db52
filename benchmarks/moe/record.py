"""The file of results: one JSON for each machine, written whole after every run, under one set of frozen settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.moe.settings import Settings
from benchmarks.referee.results import ROOT, FixedResults, now

DATA, DATA_AGAIN = (ROOT / "docs" / "data" / name for name in ("moe", "moe-again"))

Row = dict[str, Any]


class Record(FixedResults):
    """Rows of `runs`, by name; and one record each of `matched` widths and `costs`. Held by one command at a time.

    Raises InputError where the file was made under other settings or on another text, or where another command holds
    it.
    """

    def __init__(self, path: Path, settings: Settings, text_sha256: str, *, quick: bool = False) -> None:
        fixed = {"settings": settings.identity, "text_sha256": text_sha256, "quick": quick}
        super().__init__(path, fixed, "under other settings or on another text")
        self.rows: list[Row] = self.data["suites"].setdefault("runs", [])

    def add(self, row: Row) -> None:
        """Keep one row, at once on disk, with the sources and the load that it ran under."""
        self.rows.append({**row, **self.circumstances()})
        self.save()

    def put(self, suite: str, found: Any) -> None:
        """Keep a record in place of the suite's old one."""
        self.data["suites"][suite] = {**found, "when": now(), "sources": self.sources}
        self.save()

    @property
    def matched(self) -> dict[str, int]:
        """The measured hidden units of block-sparse arms."""
        found = self.data["suites"].get("matched", {})
        return {name: each["hidden"] for name, each in found.items() if isinstance(each, dict)}
