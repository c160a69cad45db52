"""The planted bugs are files: each must name a kernel, change it in the one place that it says, and tell its story."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.referee.cases import apply_edits

TESTS = Path(__file__).parents[1]
KERNELS = {path.stem: path.read_text() for path in sorted((TESTS / "kernels").glob("*.cpp"))}
MUTANTS = sorted((TESTS / "mutants").glob("*/*.toml"))
KEYS = {"kernel", "bug", "category", "edit"}


def load(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text())


def name(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def mutated(mutant: dict[str, Any]) -> str:
    return apply_edits(KERNELS[mutant["kernel"]], mutant["edit"], mutant["kernel"])


@pytest.mark.parametrize("path", MUTANTS, ids=name)
def test_a_mutant_names_its_kernel_and_tells_its_bug(path: Path) -> None:
    mutant = load(path)
    assert set(mutant) == KEYS
    assert mutant["kernel"] == path.parent.name
    assert mutant["kernel"] in KERNELS
    assert len(mutant["bug"]) > 20
    assert mutant["bug"].endswith(".")
    assert mutant["category"].replace("_", "").isalpha()


@pytest.mark.parametrize("path", MUTANTS, ids=name)
def test_every_edit_finds_one_place_in_the_kernel(path: Path) -> None:
    mutant = load(path)
    source = KERNELS[mutant["kernel"]]
    for edit in mutant["edit"]:
        assert set(edit) == {"find", "replace"}
        assert edit["find"] != edit["replace"]
    assert mutated(mutant) != source


def test_no_two_mutants_of_a_kernel_are_the_same_program() -> None:
    programs = Counter((path.parent.name, mutated(load(path))) for path in MUTANTS)
    assert [program for program, count in programs.items() if count > 1] == []


def test_the_bugs_are_many_and_spread_widely() -> None:
    mutants = [load(path) for path in MUTANTS]
    assert len(mutants) >= 150
    assert len({mutant["kernel"] for mutant in mutants}) >= 20
    assert len({mutant["category"] for mutant in mutants}) >= 20


def test_every_category_is_explained_in_the_readme() -> None:
    readme = (TESTS / "mutants" / "README.md").read_text()
    categories = {load(path)["category"] for path in MUTANTS}
    assert [category for category in sorted(categories) if f"`{category}`" not in readme] == []
