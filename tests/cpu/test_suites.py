"""A sample of the attacks, planted bugs and honest kernels; all of them run in `python -m benchmarks.referee`."""

import importlib
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from assay.tasks.candidates import load_candidate
from assay.tasks.load import load_task
from benchmarks.referee import cases

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS / "exploits"))
load_exploits = importlib.import_module("run_exploits").load_exploits

TASKS = ("gelu", "layer_norm", "softmax")
"""Few tasks, for preparing one takes as long as judging several candidates."""
ATTACKS_PER_FAMILY = 4


def sampled_attacks():
    """From every family the first few on these tasks that finish quickly and fail on correctness or contract alone."""
    found = {}
    for exploit in load_exploits():
        quick = not exploit.slow and exploit.threads == 0 and exploit.verdict == "REJECT"
        if exploit.task in TASKS and quick:
            found.setdefault(exploit.family, []).append(exploit)
    return [exploit for family in sorted(found) for exploit in found[family][:ATTACKS_PER_FAMILY]]


@pytest.mark.parametrize("exploit", sampled_attacks(), ids=lambda e: f"{e.family}-{e.name}")
def test_an_attack_is_rejected_for_the_reason_that_its_story_names(screening, exploit):
    judgement = screening.judge(load_task(exploit.task), load_candidate(exploit.folder))
    codes = {finding.code for finding in judgement.findings}
    assert exploit.held(judgement.verdict.value, sorted(codes)), (judgement.verdict, codes, exploit.findings)


MUTANTS = sorted(path for task in TASKS for path in (TESTS / "mutants" / task).glob("*.toml"))
SHOWN_IN_A_SCREENING = {"wrong_axis", "accumulation", "lane", "approximation"}


def always_shows(path):
    """Bugs that every call on the task's own inputs shows; rarer ones need a full judgement's turns."""
    return tomllib.loads(path.read_text())["category"] in SHOWN_IN_A_SCREENING


@pytest.mark.parametrize("path", [p for p in MUTANTS if always_shows(p)][:14], ids=lambda p: f"{p.parts[-2]}-{p.stem}")
def test_a_planted_bug_is_found(screening, path):
    judgement = screening.judge(load_task(path.parent.name), cases.mutant(path).candidate)
    assert judgement.right is False, [finding.message for finding in judgement.findings]


def honest():
    """Honest candidates of these tasks."""
    rows = []
    for path in sorted((TESTS / "honest").glob("*/honest.toml")):
        if tomllib.loads(path.read_text())["task"] in TASKS:
            rows.append(path.parent)
    return rows[:10]


@pytest.mark.parametrize("folder", honest(), ids=lambda folder: folder.name)
def test_an_honest_kernel_is_right(screening, folder):
    task = tomllib.loads((folder / "honest.toml").read_text())["task"]
    judgement = screening.judge(load_task(task), replace(load_candidate(folder), name=folder.name))
    assert judgement.right is True, [finding.message for finding in judgement.findings]
