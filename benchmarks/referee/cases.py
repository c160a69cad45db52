"""The folders exploits, mutants, honest and kernels of tests/ as cases: a task, a candidate, a story."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from assay.core.sources import Candidate, Language, SourceFile, Task
from assay.tasks.candidates import load_candidate
from assay.tasks.load import load_task
from benchmarks.referee.results import ROOT

TESTS = ROOT / "tests"
_ABOUT_SPEED = frozenset({"timing"})
"""Families of attacks that give right results and lie about time."""


@dataclass(frozen=True, slots=True)
class Case:
    """One candidate to judge. `group` is its family, category or style."""

    name: str
    task: Task
    candidate: Candidate
    group: str
    story: str
    about_speed: bool = False
    """Whether the attack is on the clock: then only a claim of being faster counts as accepted."""
    threads: int = 0
    """Threads that the judge grants; 0 for all cores."""
    expected: str = ""
    """What the attack's own description says that the referee must answer."""

    @property
    def native(self) -> bool:
        """Whether it is C++."""
        return self.candidate.language is Language.CPP

    def to_json(self) -> dict[str, Any]:
        """What identifies it in the results."""
        return {
            "name": self.name,
            "task": self.task.name,
            "group": self.group,
            "story": self.story,
            "native": self.native,
            "about_speed": self.about_speed,
            "expected": self.expected,
        }


def exploits() -> list[Case]:
    """Every attack that has a description; [] where there are none yet."""
    return _by_task([_exploit(path) for path in sorted((TESTS / "exploits").glob("*/expected.toml"))])


def honest() -> list[Case]:
    """Every honest candidate."""
    cases = []
    for path in sorted((TESTS / "honest").glob("*/honest.toml")):
        data = tomllib.loads(path.read_text())
        name = path.parent.name
        cases.append(Case(name, load_task(data["task"]), load_candidate(path.parent), data["style"], data["story"]))
    return _by_task(cases)


def kernels() -> list[Case]:
    """The right kernels that mutants are made of: controls, which must not be found wrong."""
    paths = sorted((TESTS / "kernels").glob("*.cpp"))
    return [Case(f"control/{p.stem}", load_task(p.stem), load_candidate(p), "control", "unchanged") for p in paths]


def mutants() -> list[Case]:
    """Every planted bug, applied to its kernel."""
    return _by_task([mutant(path) for path in sorted((TESTS / "mutants").glob("*/*.toml"))])


def apply_edits(text: str, edits: list[dict[str, str]], name: str) -> str:
    """The text with each edit made in order; raises ValueError unless an edit's text occurs exactly once."""
    for edit in edits:
        count = text.count(edit["find"])
        if count != 1:
            raise ValueError(
                f"{name}: a text to replace must occur once, it occurs {count} times: {edit['find'][:80]!r}"
            )
        text = text.replace(edit["find"], edit["replace"])
    return text


def mutant(path: Path) -> Case:
    """One planted bug: a correct kernel with the file's edits applied."""
    data = tomllib.loads(path.read_text())
    kernel = data["kernel"]
    name = f"{kernel}/{path.stem}"
    original = load_candidate(TESTS / "kernels" / f"{kernel}.cpp")
    text = apply_edits(original.files[0].text, data["edit"], name)
    changed = replace(original, name=name, files=(SourceFile(original.files[0].path, text),))
    return Case(name, load_task(data.get("task", kernel)), changed, data["category"], data["bug"])


def _exploit(path: Path) -> Case:
    data = tomllib.loads(path.read_text())
    own = path.parent / data["task"]
    task = load_task(str(own) if own.is_file() else data["task"])
    return Case(
        path.parent.name, task, load_candidate(path.parent), data["family"], data["story"],
        about_speed=data["family"] in _ABOUT_SPEED, threads=int(data.get("threads", 0)),
        expected=data["verdict"],
    )  # fmt: skip


def _by_task(cases: list[Case]) -> list[Case]:
    return sorted(cases, key=lambda case: (case.threads, case.task.name, case.name))
