"""`assay optimize` from the command line: a search that ends in a judgement, and says what it cannot do."""

import json

import pytest
from sources import SORTED
from test_cli import assay

BUDGET = "20s"


def test_a_search_ends_with_judged_finalists_a_journal_and_sources(tmp_path):
    done = assay("optimize", "row_std", "--budget", BUDGET, "--runs", str(tmp_path), "--baseline", "eager", "--json")
    assert done.returncode in (0, 1), done.stderr
    found = json.loads(done.stdout)
    assert found["ideas"] >= 1
    assert found["judged"]
    folder = next(tmp_path.glob("search-*"))
    assert json.loads((folder / "result.json").read_text())["ideas"] == found["ideas"]
    assert (folder / "kernel" / "kernel.cpp").exists() == (done.returncode == 0)
    page = (folder / "page.html").read_text()
    assert ("✓ CERTIFIED" in page) == (done.returncode == 0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("softmax", "--budget", "soon"), "duration"),
        (("softmax", "--strategy", "luck"), "luck"),
        (("softmax", "--proposers", "tuner,luck"), "codegen, tuner, archive, llm"),
        (("softmax", "--proposers", "archive"), "--archive URL"),
        (("softmax", "--resume"), "no search"),
        (("no_such_task",), "no_such_task"),
        (("softmax", "--llm", "http://127.0.0.1:9/v1"), "--llm-model"),
        (("softmax", "--llm", "nowhere", "--llm-model", "m"), "URL"),
        (("none.py:Model",), "no such file"),
    ],
)
def test_what_cannot_be_done_is_said_with_exit_code_2(tmp_path, arguments, words):
    done = assay("optimize", *arguments, "--runs", str(tmp_path))
    assert done.returncode == 2
    assert words in done.stderr


def test_an_operator_without_a_generator_is_said_with_exit_code_2(tmp_path):
    (tmp_path / "sorted.py").write_text(SORTED)
    done = assay("optimize", str(tmp_path / "sorted.py"), "--runs", str(tmp_path / "runs"))
    assert done.returncode == 2
    assert "no generator for aten.sort" in done.stderr
