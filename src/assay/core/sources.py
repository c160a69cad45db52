"""Source files as data: tasks and candidates are text until a sandboxed process runs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import PurePosixPath
from typing import Any

from assay.core.identity import identity


class Language(Enum):
    """How a candidate is built and called."""

    CPP = "cpp"
    """C++ with the plain C entry point of `kernel.h`."""
    PYTHON = "python"
    """A Python file with `ModelNew` (or the function that the task names)."""
    CUDA = "cuda"
    """CUDA C++ kernels with a launch plan: device code only, which the referee's own launcher runs."""
    TRITON = "triton"
    """The same from Triton kernels, compiled ahead of time: their Python runs in the builder and nowhere else."""

    @property
    def on_device(self) -> bool:
        """Whether it runs on a GPU."""
        return self in (Language.CUDA, Language.TRITON)


class TaskFormat(Enum):
    """Where a task's source came from; all of them are lowered to one program convention (see `assay.tasks`)."""

    PLAIN = "plain"
    """A Python file or module with an nn.Module and example inputs."""
    BUILTIN = "builtin"
    """A plain task of Assay's own set."""
    KERNELBENCH = "kernelbench"
    """KernelBench: Model, get_inputs, get_init_inputs."""
    ROBUST_KBENCH = "robust-kbench"
    """A robust-kbench task folder."""
    DEFINITION = "definition"
    """Definition JSON with workload JSONL (SOL-ExecBench, FlashInfer-Bench)."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file: a relative POSIX path and its text. Raises ValueError for a path that leaves its folder."""

    path: str
    text: str

    def __post_init__(self) -> None:
        parts = PurePosixPath(self.path).parts
        if not parts or parts[0] == "/" or ".." in parts:
            raise ValueError(f"source path must be relative and stay inside its folder: {self.path!r}")

    def to_json(self) -> dict[str, str]:
        """A plain mapping for certificates and the wire."""
        return {"path": self.path, "text": self.text}


@dataclass(frozen=True, slots=True)
class Task:
    """A reference computation as source, not yet run.

    `entry` is `file.py:symbol`, an nn.Module class or a function. `profile` is "full" or "scaled". `overrides` replaces
    keys of the program's own TASK declaration (for example {"weights": "frozen"}).
    """

    name: str
    format: TaskFormat
    files: tuple[SourceFile, ...]
    entry: str
    profile: str = "full"
    overrides: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        """sha256 over everything that decides what the task computes."""
        return identity(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """A plain mapping for certificates and the wire."""
        return {
            "name": self.name,
            "format": self.format.value,
            "files": [file.to_json() for file in self.files],
            "entry": self.entry,
            "profile": self.profile,
            "overrides": dict(self.overrides),
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Task:
        """The inverse of `to_json`."""
        return cls(
            name=str(data["name"]),
            format=TaskFormat(data["format"]),
            files=tuple(SourceFile(f["path"], f["text"]) for f in data["files"]),
            entry=str(data["entry"]),
            profile=str(data["profile"]),
            overrides=dict(data["overrides"]),
            notes=tuple(data["notes"]),
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """Proposed source for a task.

    `entry` is the C symbol for C++ (normally `assay_kernel`), `file.py:symbol` for Python, and the first kernel for
    CUDA and Triton. `flags` are compiler flags, checked against the builder's allow-list when it builds. `parent` is
    the identity of the candidate that this one was derived from, `proposer` who wrote it.
    """

    name: str
    language: Language
    files: tuple[SourceFile, ...]
    entry: str
    flags: tuple[str, ...] = ()
    parent: str | None = None
    proposer: str | None = None

    @property
    def identity(self) -> str:
        """sha256 over everything that decides what the candidate does; who proposed it does not matter."""
        data = self.to_json()
        return identity({key: data[key] for key in ("language", "files", "entry", "flags")})

    def to_json(self) -> dict[str, Any]:
        """A plain mapping for certificates and the wire."""
        return {
            "name": self.name,
            "language": self.language.value,
            "files": [file.to_json() for file in self.files],
            "entry": self.entry,
            "flags": list(self.flags),
            "parent": self.parent,
            "proposer": self.proposer,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Candidate:
        """The inverse of `to_json`."""
        return cls(
            name=str(data["name"]),
            language=Language(data["language"]),
            files=tuple(SourceFile(f["path"], f["text"]) for f in data["files"]),
            entry=str(data["entry"]),
            flags=tuple(data["flags"]),
            parent=data["parent"],
            proposer=data["proposer"],
        )
