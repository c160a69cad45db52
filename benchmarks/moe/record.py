"""The file of results: one JSON for each machine, written whole after every run, under one set of frozen settings."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from assay.errors import InputError
from assay.machine.survey import read_facts
from benchmarks.moe.settings import Settings
from benchmarks.referee.results import ROOT, Results, conditions, sources_identity

DATA = ROOT / "docs" / "data" / "moe"

Row = dict[str, Any]


class Record(Results):
    """Rows of `runs`, by name; and one record each of `matched` widths and `costs`. Held by one command at a time.

    Raises InputError where the file was made under other settings or on another text, or where another command holds
    it.
    """

    def __init__(self, path: Path, settings: Settings, text_sha256: str, *, quick: bool = False) -> None:
        try:
            super().__init__(path)
        except BlockingIOError as error:
            raise InputError("another run holds these results", value=str(path), next_step="let it end") from error
        fixed = {"settings": settings.identity, "text_sha256": text_sha256, "quick": quick}
        found = {key: self.data.setdefault(key, value) for key, value in fixed.items()}
        if found != fixed:
            self.close()
            raise InputError(
                "these results were made under other settings or on another text",
                value=f"{path}: {found}",
                rule=f"one file holds results of {fixed}",
                next_step="give another file with --json, or restore the settings",
            )
        self._sources = sources_identity()
        self.data["machine"] = read_facts().to_json()
        self.rows: list[Row] = self.data["suites"].setdefault("runs", [])

    def __enter__(self) -> Record:
        return self

    def row(self, name: str) -> Row | None:
        """A run's row, where it is done."""
        return next((row for row in self.rows if row["name"] == name), None)

    def add(self, row: Row) -> None:
        """Keep one row, at once on disk, with the sources and the load that it ran under."""
        self.rows.append({**row, "when": now(), "load": conditions()["load"], "sources": self._sources})
        self.save()

    def put(self, suite: str, found: Any) -> None:
        """Keep a record in place of the suite's old one."""
        self.data["suites"][suite] = {**found, "when": now(), "sources": self._sources}
        self.save()

    @property
    def matched(self) -> dict[str, int]:
        """The measured hidden units of block-sparse arms."""
        found = self.data["suites"].get("matched", {})
        return {name: each["hidden"] for name, each in found.items() if isinstance(each, dict)}


def now() -> str:
    """UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
