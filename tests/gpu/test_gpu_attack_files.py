"""The GPU corpora as files: complete descriptions, plans that resolve, sources that compile for the H100.

Exploits are compiled here and never run; they are judged in `test_gpu_corpora.py`, inside the sandbox.
"""

from __future__ import annotations

import ast
import functools
import itertools
import re
from collections import Counter
from pathlib import Path

import pytest

from assay.build.flags import check_flags
from assay.core.sources import Candidate, Language, SourceFile
from assay.errors import CandidateError
from assay.launch.plan import LaunchPlan
from assay.launch.resolved import ResolvedPlan, resolve
from tests.gpu import corpora, cubin
from tests.gpu.emulation.programs import Program

EXPLOITS, MUTANTS, HONEST = corpora.exploits(), corpora.mutants(), corpora.honest()
DEVICE = [exploit for exploit in EXPLOITS if exploit.facts["tier"] == 1]
HOST = [exploit for exploit in EXPLOITS if exploit.facts["tier"] == 2]
FIELDS = {"task", "tier", "family", "story", "verdict", "findings", "mechanism", "fools_conventional", "build"}
FAMILIES = {"correctness", "state", "timing", "tampering", "theft", "resources", "not-doing-the-task"}
BUILDS = {
    "compiles": "nvcc makes a cubin of it",
    "fails": "nvcc or ptxas refuses it",
    "refused": "its plan or its flags are refused before a compiler runs",
    "depends": "it asks the machine that compiles it",
    "bomb": "it is never compiled outside a sandbox",
    "python": "it is a Python file",
}
MISMATCHED = {"parameters_beyond_the_plan"}
"""Attacks whose plan disagrees with their kernels on purpose."""

needs_nvcc = pytest.mark.skipif(cubin.NVCC is None, reason="no nvcc: pip or apt can install CUDA's compiler alone")


COMPILED = [
    *HONEST[::3],
    *(pytest.param(one, marks=pytest.mark.slow) for one in [*HONEST, *MUTANTS] if one not in HONEST[::3]),
]
"""A third of the honest kernels; the others in the slow lane."""


def each(corpus):
    return pytest.mark.parametrize("one", corpus, ids=lambda one: one.name)


@functools.cache
def layouts(task, small):
    """Layouts of inputs, weights and outputs and the scalars, at the benchmark's shape or at a small odd one."""
    program = Program.load(task)
    shape = program.shapes(6)[-1] if small else program.axes
    case = program.draw(shape, "own", 0)
    return (*case.specs(), case.scalars)


def resolved(plan: LaunchPlan, task: str, small: bool) -> ResolvedPlan:
    inputs, weights, outputs, scalars = layouts(task, small)
    return resolve(plan, inputs, weights, outputs, scalars)


def test_the_corpora_are_large_enough():
    assert len(DEVICE) >= 40
    assert len(HOST) >= 18
    assert len(MUTANTS) >= 65
    assert len(HONEST) >= 28


def test_the_readme_gives_the_true_counts():
    text = (corpora.FOLDER / "README.md").read_text()
    rows = re.findall(r"^\| ([a-z-]+) \| (\d+) \| (\d+) \| (\d+)", text, re.MULTILINE)
    table = {family: tuple(map(int, numbers)) for family, *numbers in rows}
    count = Counter((exploit.facts["family"], exploit.facts["tier"]) for exploit in EXPLOITS)
    assert table == {family: (count[family, 1], count[family, 2], count[family, 1] + count[family, 2])
                     for family in FAMILIES}  # fmt: skip
    assert f"{len(MUTANTS)} planted bugs" in text
    assert f"{len(HONEST)} honest kernels" in text


def test_every_folder_is_an_attack():
    folders = {path.name for path in (corpora.FOLDER / "exploits").iterdir() if path.is_dir()} - {"__pycache__"}
    assert folders == {exploit.name for exploit in EXPLOITS}


def test_no_two_say_the_same():
    for texts in ([e.facts["story"] for e in EXPLOITS], [m.notes["bug"] for m in MUTANTS],
                  [h.notes["story"] for h in HONEST], [h.notes["style"] for h in HONEST]):  # fmt: skip
        assert len(set(texts)) == len(texts)


@each(EXPLOITS)
def test_an_attack_is_described_in_full(one):
    facts = one.facts
    assert set(facts) == FIELDS
    assert corpora.task_path(facts["task"]).is_file()
    assert facts["family"] in FAMILIES
    assert facts["build"] in BUILDS
    assert facts["verdict"] in {"REJECT", "NOT_ACCEPT"}
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in facts["findings"])
    assert facts["findings"]
    assert min(len(facts["story"]), len(facts["mechanism"])) >= 20
    assert one.unit.suffix == (".cu" if facts["tier"] == 1 else ".py")
    assert {path.suffix for path in one.files} <= {".cu", ".cuh", ".py", ".toml"}


@each(EXPLOITS)
def test_a_busy_machine_is_no_proof_against_an_attack(one):
    doubts = {"too-noisy", "too-few-pairs", "budget-too-small", "within-noise"}
    assert one.facts["verdict"] == "NOT_ACCEPT" or not doubts & set(one.facts["findings"])


@each(HOST)
def test_host_code_defines_the_class_that_is_called(one):
    assert one.facts["build"] == "python"
    tree = ast.parse(one.unit.read_text())
    assert "ModelNew" in [node.name for node in tree.body if isinstance(node, ast.ClassDef)]


@each([exploit for exploit in DEVICE if exploit.facts["build"] != "refused"])
@pytest.mark.parametrize("small", [False, True], ids=["benchmark", "small"])
def test_an_attacks_plan_resolves(one, small):
    assert resolved(one.plan(), one.facts["task"], small).launches


@each([exploit for exploit in DEVICE if exploit.facts["build"] == "refused"])
def test_a_refused_attack_fails_before_any_compiler(one):
    with pytest.raises(CandidateError):
        check_without_compiler(one)


def check_without_compiler(one):
    """Its plan, then its flags; the builder's list for C++ lets none of these pass either."""
    resolved(one.plan(), one.facts["task"], False)
    source = SourceFile(one.unit.name, one.unit.read_text())
    check_flags(Candidate(one.name, Language.CUDA, (source,), "kernel", one.flags))


@each([exploit for exploit in DEVICE if exploit.facts["build"] in ("compiles", "fails")])
@needs_nvcc
def test_an_attack_compiles_or_fails_as_it_says(one, tmp_path):
    done = compile_quietly(one.unit, tmp_path)
    assert (done.returncode == 0) == (one.facts["build"] == "compiles"), done.stderr[-1500:]
    if done.returncode == 0:
        found = plan_faults(one.plan(), one.facts["task"], cubin.entries(tmp_path))
        assert bool(found) == (one.name in MISMATCHED), found


def compile_quietly(path: Path, folder: Path):
    """As `compile_cubin`, of a copy, so that nothing is written beside the source."""
    copy = folder / "candidate.cu"
    copy.write_text(path.read_text())
    return cubin.compile_cubin(copy, folder)


def plan_faults(plan: LaunchPlan, task: str, found: dict[str, cubin.Entry]) -> list[str]:
    """Where a plan and its kernels disagree at the benchmark's or at a small shape."""
    faults = [f"no kernel {name}" for name in plan.kernels if name not in found]
    for small in (False, True):
        for launch in resolved(plan, task, small).launches:
            entry = found.get(launch.kernel)
            sizes = tuple(len(parameter.bytes) for parameter in launch.parameters)
            if entry is not None and sizes != entry.parameter_bytes:
                faults.append(f"{launch.kernel} takes {entry.parameter_bytes} and is given {sizes}")
            threads = launch.block[0] * launch.block[1] * launch.block[2]
            if entry is not None and threads > entry.most_threads:
                faults.append(f"{launch.kernel} is compiled for {entry.most_threads} threads, not {threads}")
    return faults


@each(HONEST)
def test_an_honest_kernel_is_described_in_full(one):
    assert set(one.notes) - {"not emulated"} == {"task", "style", "story"}
    assert corpora.task_path(one.task).is_file()
    assert len(one.notes["story"]) >= 30
    assert one.notes["story"].endswith(".")


@each(MUTANTS)
def test_a_mutant_names_its_bug_its_task_and_its_origin(one):
    assert set(one.notes) - {"not emulated", "race", "rare", "shape", "family", "calls"} == {
        "task",
        "from",
        "category",
        "bug",
    }
    assert corpora.task_path(one.task).is_file()
    assert len(one.notes["bug"]) >= 30
    assert one.notes["bug"].endswith(".")
    assert one.notes["category"].replace("_", "").isalpha()
    assert one.notes["from"] == "none" or one.notes["from"] in {kernel.name for kernel in HONEST}


@each(MUTANTS)
def test_a_mutant_differs_from_its_origin_in_few_lines(one):
    if one.notes["from"] == "none":
        return
    (origin,) = [kernel for kernel in HONEST if kernel.name == one.notes["from"]]
    mine, other = (Counter(code_lines(kernel.text)) for kernel in (one, origin))
    assert 0 < sum((mine - other).values()) + sum((other - mine).values()) <= 26
    assert one.task == origin.task


def code_lines(text):
    return [line.strip() for line in text.splitlines() if not re.match(r"// [a-z][a-z ]*: ", line) and line.strip()]


def test_no_two_mutants_are_the_same_program():
    programs = Counter(tuple(code_lines(mutant.text)) for mutant in MUTANTS)
    assert max(programs.values()) == 1


def test_the_bugs_are_of_many_kinds_and_the_readme_explains_each():
    readme = (corpora.FOLDER / "README.md").read_text()
    categories = {mutant.notes["category"] for mutant in MUTANTS}
    assert len(categories) >= 20
    assert [category for category in sorted(categories) if f"`{category}`" not in readme] == []


@pytest.mark.parametrize("one", COMPILED, ids=lambda one: one.name)
@needs_nvcc
def test_a_kernel_compiles_and_its_plan_fits_its_parameters(one, tmp_path):
    done = compile_quietly(one.path, tmp_path)
    assert done.returncode == 0, done.stderr[-1500:]
    assert plan_faults(one.plan, one.task, cubin.entries(tmp_path)) == []


def test_honest_kernels_for_one_task_are_no_near_copies():
    shingles = {}
    for kernel in HONEST:
        words = re.findall(r"\w+|\S", kernel.text)
        shingles[kernel.name] = {tuple(words[i : i + 5]) for i in range(len(words) - 4)}
    for one, other in itertools.combinations(HONEST, 2):
        if one.task == other.task:
            mine, theirs = shingles[one.name], shingles[other.name]
            assert len(mine & theirs) / min(len(mine), len(theirs)) < 0.6, f"{one.name} and {other.name}"
