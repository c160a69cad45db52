"""The false-alarm suite as files: complete folders, real tasks, allowed flags, and styles that differ."""

from __future__ import annotations

import ast
import itertools
import re
import tomllib
from pathlib import Path

import pytest

from assay.build.flags import check_flags
from assay.core.sources import Candidate, Language, SourceFile

ROOT = Path(__file__).parents[2]
HONEST = ROOT / "tests" / "honest"
BUILTIN = ROOT / "src" / "assay" / "tasks" / "builtin"
FOLDERS = sorted(path for path in HONEST.iterdir() if path.is_dir())
ALLOWED_FILES = {".cpp", ".h", ".py", ".toml"}


def metadata(folder):
    return tomllib.loads((folder / "honest.toml").read_text())


def flags(folder):
    path = folder / "candidate.toml"
    return tomllib.loads(path.read_text())["flags"] if path.exists() else []


def is_python(folder):
    return (folder / "candidate.py").exists()


def source(folder):
    return "\n".join(path.read_text() for path in sorted(folder.iterdir()) if path.suffix in {".cpp", ".h", ".py"})


def declaration(task, key):
    """A literal of the task's TASK, read without running it; None where it is absent."""
    for node in ast.parse((BUILTIN / f"{task}.py").read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "TASK":
            found = [v for k, v in zip(node.value.keys, node.value.values, strict=True) if k.value == key]
            return ast.literal_eval(found[0]) if found else None
    return None


by_folder = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def test_there_are_enough_of_both_languages():
    python = sum(map(is_python, FOLDERS))
    assert len(FOLDERS) >= 44
    assert len(FOLDERS) - python >= 28
    assert python >= 12


def test_many_tasks_are_covered():
    assert len({metadata(folder)["task"] for folder in FOLDERS}) >= 25


@by_folder
def test_its_description_is_complete(folder):
    data = metadata(folder)
    assert data.keys() - {"needs"} == {"task", "style", "story", "expect"}
    assert (BUILTIN / f"{data['task']}.py").is_file()
    assert data["expect"] == "any"
    assert len(data["style"]) >= 8
    assert len(data["story"]) >= 30
    assert "\n" not in data["story"]
    assert set(data.get("needs", [])) <= {"compiler"}


@by_folder
def test_it_holds_one_candidate_and_nothing_else(folder):
    files = [path for path in folder.iterdir() if path.name != "__pycache__"]
    assert {path.suffix for path in files} <= ALLOWED_FILES
    entries = len(re.findall(r'^extern "C" int assay_kernel\(', source(folder), re.MULTILINE))
    if is_python(folder):
        assert {path.name for path in files} == {"candidate.py", "honest.toml"}
        classes = [n.name for n in ast.parse(source(folder)).body if isinstance(n, ast.ClassDef)]
        assert "ModelNew" in classes
    else:
        assert not any(path.suffix == ".py" for path in files)
        assert entries == 1


@by_folder
def test_its_flags_are_allowed(folder):
    if is_python(folder):
        assert flags(folder) == []
        return
    unit = SourceFile("kernel.cpp", (folder / "kernel.cpp").read_text())
    candidate = Candidate(folder.name, Language.CPP, (unit,), "assay_kernel", tuple(flags(folder)))
    assert check_flags(candidate) == tuple(flags(folder))


@by_folder
def test_it_keeps_weights_only_where_they_are_frozen(folder):
    """A candidate that keeps weights between calls says "frozen" in its story or source."""
    data = metadata(folder)
    if "frozen" in data["style"] + data["story"] + source(folder):
        assert declaration(data["task"], "weights") == "frozen"


def test_no_two_say_the_same():
    for key in ("style", "story"):
        texts = [metadata(folder)[key] for folder in FOLDERS]
        assert len(set(texts)) == len(texts)


def test_no_two_sources_for_one_task_are_near_copies():
    shingles = {}
    for folder in FOLDERS:
        words = re.findall(r"\w+|\S", source(folder))
        shingles[folder] = {tuple(words[i : i + 5]) for i in range(len(words) - 4)}
    for one, other in itertools.combinations(FOLDERS, 2):
        if metadata(one)["task"] != metadata(other)["task"]:
            continue
        shared = len(shingles[one] & shingles[other]) / min(len(shingles[one]), len(shingles[other]))
        assert shared < 0.6, f"{one.name} and {other.name} share {shared:.0%} of their shorter source"
