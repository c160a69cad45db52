"""Candidates from disk: a C++, CUDA or Python file, a folder of them, or a Solution JSON."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core.sources import Candidate, Language, SourceFile
from assay.errors import CandidateError, InputError
from assay.launch.plan import PLAN_FILE, embedded_plan, find_plan
from assay.tasks.plain import safe_path
from assay.tasks.solutions import solution_candidate
from assay.tasks.source_reading import MAX_SOURCE_BYTES, parse_python, read_text

CPP_ENTRY = "assay_kernel"
PYTHON_ENTRY = "ModelNew"
MAX_FILES = 200
"""Most files of one folder candidate; the most that a published multi-file solution has is about ten."""

_CPP_UNITS = frozenset({".cpp", ".cc", ".cxx"})
_CPP_SUFFIXES = _CPP_UNITS | {".h", ".hpp", ".hh"}
_CUDA_SUFFIXES = frozenset({".cu", ".cuh", ".h", ".hpp"})
_SETTINGS = {"entry": str, "flags": list, "language": str, "name": str}


@dataclass(frozen=True, slots=True)
class _Settings:
    """What `candidate.toml` may say; None means: find out."""

    entry: str | None = None
    flags: tuple[str, ...] = ()
    language: Language | None = None
    name: str | None = None


def load_candidate(path: str | Path, *, entry: str | None = None) -> Candidate:
    """A candidate from a .cpp, .cc, .cu or .py file, a folder, or a Solution JSON.

    `entry` names the C symbol or the Python class or function; without it, C++ uses `assay_kernel` and Python
    `ModelNew`, or else a function named `run`, or else the only public function. CUDA has no entry but its launch plan.
    Raises InputError for a path that cannot be read and CandidateError for one that holds no candidate. All files
    together may have 4 MiB.
    """
    path = Path(path)
    if path.is_dir():
        return _from_folder(path, entry)
    text = read_text(path, "candidate")
    if path.suffix == ".json":
        return solution_candidate(text, str(path))
    language = _LANGUAGES.get(path.suffix)
    if language is None:
        raise InputError(
            "this kind of file cannot be a candidate",
            value=str(path),
            rule="a candidate is a .cpp, .cc, .cxx, .cu or .py file, a folder of them, or a Solution .json",
        )
    name = safe_path(path.name) if language is Language.PYTHON else path.name
    file = SourceFile(name, text)
    if language is Language.PYTHON and embedded_plan(file):
        language = Language.TRITON
    return _candidate([file], _Settings(entry, language=language, name=path.stem))


def _from_folder(folder: Path, entry: str | None) -> Candidate:
    settings = _read_settings(folder)
    suffixes = frozenset().union(*_SUFFIXES.values())
    paths = sorted(p for p in folder.rglob("*") if p.suffix in suffixes and p.is_file() and not _hidden(p, folder))
    if not paths:
        rule = "it needs .cpp, .cc, .cu or .py files"
        raise CandidateError("the folder holds no candidate", value=str(folder), rule=rule)
    if len(paths) > MAX_FILES:
        raise CandidateError("the folder holds too many files", value=f"{len(paths)}", rule=f"at most {MAX_FILES}")
    language = settings.language or _language_of(paths, folder)
    files = [
        SourceFile(p.relative_to(folder).as_posix(), read_text(p, "candidate's file"))
        for p in paths
        if p.suffix in _SUFFIXES[language]
    ]
    plan = folder / PLAN_FILE
    if plan.is_file():
        files.append(SourceFile(PLAN_FILE, read_text(plan, "launch plan")))
    if language is Language.PYTHON and (plan.is_file() or any(map(embedded_plan, files))):
        language = Language.TRITON
    chosen = _Settings(entry or settings.entry, settings.flags, language, settings.name or folder.resolve().name)
    return _candidate(files, chosen)


def _candidate(files: list[SourceFile], settings: _Settings) -> Candidate:
    size = sum(len(file.text.encode()) for file in files)
    if size > MAX_SOURCE_BYTES:
        raise CandidateError("the candidate is too large", value=f"{size} bytes", rule=f"at most {MAX_SOURCE_BYTES}")
    language = settings.language or Language.CPP
    entry = _FIND_ENTRY[language](files, settings.entry)
    return Candidate(settings.name or "candidate", language, tuple(files), entry, settings.flags)


def _cpp_entry(files: list[SourceFile], entry: str | None) -> str:
    """The C symbol. That it is mentioned somewhere is only a hint for an early error; the builder finds out."""
    symbol = entry or CPP_ENTRY
    if not any(symbol in file.text for file in files):
        raise CandidateError(
            f"the source never mentions {symbol}",
            rule=f'a C++ candidate defines extern "C" int {symbol}(const assay_call*)',
            next_step="see assay/kernel.h for the contract, or name another entry in candidate.toml",
        )
    return symbol


def _python_entry(files: list[SourceFile], entry: str | None) -> str:
    """`file.py:symbol`, looked for in every file."""
    wanted_file, colon, wanted = (entry or "").rpartition(":")
    named = wanted or None
    found: list[str] = []
    for file in files:
        facts = parse_python(file.text, file.path, CandidateError)
        if colon and file.path != wanted_file:
            continue
        public = [name for name in facts.functions if not name.startswith("_")]
        if named or PYTHON_ENTRY in facts.classes:
            symbol = named or PYTHON_ENTRY
            found += [f"{file.path}:{symbol}"] * (symbol in facts.classes or symbol in facts.functions)
        elif len(files) == 1 and ("run" in public or len(public) == 1):
            found.append(f"{file.path}:{'run' if 'run' in public else public[0]}")
    if len(found) == 1:
        return found[0]
    raise CandidateError(
        f"{'several files define' if found else 'no file defines'} {entry or PYTHON_ENTRY}",
        value=", ".join(found or (file.path for file in files)),
        rule="a Python candidate defines the class ModelNew, or the function that the task names",
        next_step="define it in one file, or name the entry as file.py:symbol",
    )


def _read_settings(folder: Path) -> _Settings:
    path = folder / "candidate.toml"
    if not path.is_file():
        return _Settings()
    try:
        data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError("candidate.toml is not TOML", value=f"{path}: {error}") from None
    for key, value in data.items():
        if key not in _SETTINGS or not isinstance(value, _SETTINGS[key]):
            raise InputError(
                "candidate.toml has a wrong entry",
                value=f"{key} = {value!r}",
                rule="entry, language and name are strings, flags is a list of strings",
            )
    try:
        language = Language(data["language"]) if "language" in data else None
    except ValueError:
        choices = ", ".join(item.value for item in Language)
        raise InputError("unknown language", value=str(data["language"]), rule=f"one of {choices}") from None
    return _Settings(data.get("entry"), tuple(map(str, data.get("flags", ()))), language, data.get("name"))


def _language_of(paths: list[Path], folder: Path) -> Language:
    found = {_LANGUAGES[path.suffix] for path in paths if path.suffix in _LANGUAGES}
    if len(found) != 1:
        named = " and ".join(sorted(language.name for language in found))
        raise CandidateError(
            f"the folder holds {named}" if found else "the folder holds headers only",
            value=str(folder),
            next_step='say which counts in candidate.toml: language = "cpp", "cuda" or "python"',
        )
    return found.pop()


def _device_entry(files: list[SourceFile], entry: str | None) -> str:
    """The first kernel of the launch plan."""
    if entry is not None:
        raise CandidateError("device code has no entry of its own", value=entry, rule="its launch plan names kernels")
    return find_plan(files).kernels[0]


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith((".", "__")) for part in path.relative_to(folder).parts[:-1])


_SUFFIXES = {
    Language.CPP: _CPP_SUFFIXES, Language.CUDA: _CUDA_SUFFIXES, Language.TRITON: frozenset({".py"}),
    Language.PYTHON: frozenset({".py"}),
}  # fmt: skip
_LANGUAGES = {**dict.fromkeys(_CPP_UNITS, Language.CPP), ".cu": Language.CUDA, ".py": Language.PYTHON}
"""By the suffix of a translation unit; headers belong to whatever they lie beside."""
_FIND_ENTRY = {
    Language.CPP: _cpp_entry, Language.CUDA: _device_entry, Language.TRITON: _device_entry,
    Language.PYTHON: _python_entry,
}  # fmt: skip
