"""The recorded results: one JSON file, one record a suite, written after every result so that nothing is lost.

A rerun of a suite replaces that suite's record only. Every record says when it ran, on which sources of Assay, and how
busy the machine was at its start and end, since a figure taken under load is another figure.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TextIO

from assay.errors import InputError
from assay.machine.cache_dirs import atomic_write
from assay.machine.survey import read_facts

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = 1
_PRESSURE = Path("/proc/pressure/cpu")


def this_processor() -> str:
    """The processor's name, as a file's."""
    return re.sub(r"[^a-z0-9]+", "-", (read_facts().cpu_model or "unknown").lower()).strip("-")


class Results:
    """The file, held by one run at a time; a context manager.

    Raises ValueError for a file of another schema, BlockingIOError where another run holds it.
    """

    def __init__(self, path: Path, *, writing: bool = True) -> None:
        self.path = path
        self._lock: TextIO | None = None
        if writing:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = _hold(path)
        self.data: dict[str, Any] = {"schema": SCHEMA, "machine": None, "suites": {}}
        if path.exists():
            self.data = json.loads(path.read_text())
            if self.data.get("schema") != SCHEMA:
                self.close()
                raise ValueError(f"{path} has schema {self.data.get('schema')}, this program writes {SCHEMA}")

    def close(self) -> None:
        """Let another run write the file. Safe to call twice."""
        if self._lock is not None:
            os.unlink(self._lock.name)  # while it is held: who waits for it sees that it is no longer there
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def begin(self, name: str, settings: dict[str, Any], quick: bool, resume: bool) -> Record:
        """A new record in place of the suite's old one; with `resume`, the old one where it was cut short."""
        old = self.data["suites"].get(name)
        self.data["machine"] = read_facts().to_json()
        if not (resume and old and not old["complete"] and old["quick"] == quick):
            self.data["suites"][name] = {
                "started": now(),
                "finished": None,
                "seconds": 0.0,
                "quick": quick,
                "complete": False,
                "sources": sources_identity(),
                "settings": settings,
                "conditions": [],
                "results": [],
            }
        self.data["suites"][name].pop("broken", None)
        return Record(self, name)

    def save(self) -> None:
        """Write the file whole, readable by everyone."""
        atomic_write(self.path, (json.dumps(self.data, indent=1) + "\n").encode())
        os.chmod(self.path, 0o644)


def _hold(path: Path) -> TextIO:
    """A lock for a file, outside the checkout. Raises BlockingIOError where another process has it."""
    held = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    name = Path(tempfile.gettempdir()) / f"assay-results-{held}.lock"
    while True:
        lock = open(name, "w")  # noqa: SIM115 - held till it is closed
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock.fileno()).st_ino == os.stat(name).st_ino:
                return lock
        except FileNotFoundError:
            pass  # it was let go between the two, and its file with it
        except BlockingIOError:
            lock.close()
            raise
        lock.close()


class FixedResults(Results):
    """A file of results that were all made under the same settings: what is in `fixed`, kept in the file.

    Raises InputError where the file was made `otherwise`, or where another command holds it.
    """

    def __init__(self, path: Path, fixed: Mapping[str, Any], otherwise: str = "under other settings") -> None:
        try:
            super().__init__(path)
        except BlockingIOError as error:
            raise InputError("another run holds these results", value=str(path), next_step="let it end") from error
        found = {key: self.data.setdefault(key, value) for key, value in fixed.items()}
        if found != fixed:
            self.close()
            raise InputError(
                f"these results were made {otherwise}",
                value=f"{path}: {found}",
                rule=f"one file holds results of {fixed}",
                next_step="give another file with --json, or restore the settings",
            )
        self.sources = sources_identity()
        self.data["machine"] = read_facts().to_json()

    def circumstances(self) -> dict[str, Any]:
        """When a row is made, the load that it ran under, and the sources."""
        return {"when": now(), "load": conditions()["load"], "sources": self.sources}


def write_report(docs: Path, topic: str, text: str, pictures: Mapping[str, str]) -> None:
    """TOPIC-results.md, and its pictures by file name in figures/TOPIC."""
    folder = docs / "figures" / topic
    folder.mkdir(parents=True, exist_ok=True)
    (docs / f"{topic}-results.md").write_text(text)
    for name, picture in pictures.items():
        (folder / name).write_text(picture + "\n")


class Record:
    """One suite's record while it runs; a context manager that saves whatever happens."""

    def __init__(self, results: Results, name: str) -> None:
        self._results, self.name = results, name
        self.data: dict[str, Any] = results.data["suites"][name]
        self._done = {result.get("name") for result in self.data["results"]}
        self._begun, self._spent = time.monotonic(), float(self.data["seconds"])
        self.total = 0
        self._first = len(self.data["results"])

    def __enter__(self) -> Record:
        self.data["conditions"].append({"at": "start", **conditions()})
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self.data["complete"] = kind is None
        self.data["finished"] = now()
        self.data["conditions"].append({"at": "end", **conditions()})
        self._save()

    def has(self, name: str) -> bool:
        """Whether an interrupted run already has this result."""
        return name in self._done

    def add(self, result: dict[str, Any], words: str = "") -> None:
        """Keep one result, at once on disk, and say how far the suite is."""
        result["load"] = conditions()["load"]
        self.data["results"].append(result)
        self._save()
        place = f"{len(self.data['results'])}/{self.total}"
        print(f"[{self.name} {place}] {result['name']}: {words}{self._left()}", flush=True)

    def _left(self) -> str:
        count = len(self.data["results"])
        if not self.total or count >= self.total:
            return ""
        each = (time.monotonic() - self._begun) / max(count - self._first, 1)
        return f"; {each * (self.total - count) / 60:.1f} min left"

    def _save(self) -> None:
        self.data["seconds"] = round(self._spent + time.monotonic() - self._begun, 1)
        self._results.save()


def conditions() -> dict[str, Any]:
    """How busy the machine is: the 1-minute load average, the share of time in which some task waited for a core."""
    found: dict[str, Any] = {"when": now(), "load": round(os.getloadavg()[0], 2), "psi_10s": None, "psi_60s": None}
    if _PRESSURE.exists():
        some = dict(part.split("=") for part in _PRESSURE.read_text().split("\n")[0].split()[1:])
        found |= {"psi_10s": float(some["avg10"]) / 100, "psi_60s": float(some["avg60"]) / 100}
    return found


def sources_identity() -> str:
    """The first 12 digits of a sha256 over Assay's sources: results of other sources are results of another referee."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "src" / "assay").rglob("*")):
        if path.suffix in (".py", ".h", ".cpp"):
            digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def now() -> str:
    """UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
