"""The GPU corpora of this folder as data: exploits, mutants and honest kernels, with what their headers say."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core.sources import SourceFile, Task
from assay.launch.plan import PLAN_FILE, LaunchPlan, find_plan
from assay.tasks.load import load_task

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
BUILTIN = ROOT / "src" / "assay" / "tasks" / "builtin"

_PLAN_COMMENT = re.compile(r"\A\s*/\*\s*launch\.toml\s*\n.*?\*/\s*\n", re.DOTALL)
_NOTE = re.compile(r"// ([a-z][a-z ]*): (.+)")


@dataclass(frozen=True, slots=True)
class KernelFile:
    """One `.cu` file: its name, its text, and the notes `// key: value` that follow its launch plan."""

    name: str
    path: Path
    text: str
    notes: dict[str, str]

    @property
    def task(self) -> str:
        """A built-in task's name, or a file of `tests/gpu/tasks`."""
        return self.notes["task"]

    def load_task(self) -> Task:
        """What it is to solve."""
        return _task_of(self.task)

    @property
    def plan(self) -> LaunchPlan:
        """Its launch plan."""
        return find_plan([SourceFile(self.path.name, self.text)])

    @property
    def emulated(self) -> bool:
        """Whether the emulation can run it."""
        return "not emulated" not in self.notes


@dataclass(frozen=True, slots=True)
class Exploit:
    """One attack's folder and what its `expected.toml` says."""

    name: str
    folder: Path
    facts: dict[str, Any]

    @property
    def files(self) -> list[Path]:
        """What it hands over."""
        return sorted(p for p in self.folder.iterdir() if p.is_file() and p.name not in ("expected.toml", "task.py"))

    @property
    def task(self) -> str:
        """A built-in task's name, or a file of `tests/gpu/tasks`."""
        return str(self.facts["task"])

    def load_task(self) -> Task:
        """What it pretends to solve."""
        return _task_of(self.task)

    @property
    def unit(self) -> Path:
        """The file that is compiled or imported."""
        (path,) = [p for p in self.files if p.name in ("candidate.cu", "candidate.py")]
        return path

    @property
    def flags(self) -> tuple[str, ...]:
        """The compiler flags that it asks for."""
        path = self.folder / "candidate.toml"
        return tuple(tomllib.loads(path.read_text()).get("flags", ())) if path.exists() else ()

    def plan(self) -> LaunchPlan:
        """Its launch plan; raises CandidateError where it is refused."""
        return find_plan([SourceFile(p.name, p.read_text()) for p in self.files if p.suffix == ".cu"
                          or p.name == PLAN_FILE])  # fmt: skip


def read_kernel(path: Path) -> KernelFile:
    """One `.cu` file; its notes are the comment lines right after the plan."""
    text = path.read_text()
    begin = _PLAN_COMMENT.match(text)
    notes: dict[str, str] = {}
    for line in text[begin.end() if begin else 0 :].splitlines():
        note = _NOTE.fullmatch(line)
        if note is None:
            break
        notes[note[1]] = note[2]
    return KernelFile(path.stem, path, text, notes)


def honest() -> list[KernelFile]:
    """Every honest kernel."""
    return [read_kernel(path) for path in sorted((FOLDER / "honest").glob("*.cu"))]


def mutants() -> list[KernelFile]:
    """Every planted bug."""
    return [read_kernel(path) for path in sorted((FOLDER / "mutants").glob("*.cu"))]


def exploits() -> list[Exploit]:
    """Every attack."""
    return [
        Exploit(path.parent.name, path.parent, tomllib.loads(path.read_text()))
        for path in sorted((FOLDER / "exploits").glob("*/expected.toml"))
    ]


def task_path(name: str) -> Path:
    """The source of a task that a corpus names."""
    own = FOLDER / "tasks" / f"{name}.py"
    return own if own.is_file() else BUILTIN / f"{name}.py"


def _task_of(name: str) -> Task:
    path = task_path(name)
    return load_task(name if path.parent == BUILTIN else str(path))
