"""`assay runs`, `show` and `compare`: what was judged before, and what may be said of two of them."""

import json

import pytest
from synthetic_certificates import certified, of_kind
from typer.testing import CliRunner

from assay.cli.main import app
from assay.errors import InputError
from assay.report.compare import against
from assay.report.store import save_run


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "runs"


def saved(folder, *certificates):
    return [save_run(folder, certificate, "<html></html>") for certificate in certificates]


def asked(*arguments):
    done = CliRunner().invoke(app, [str(each) for each in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


def test_runs_are_listed_with_their_verdicts_and_a_damaged_one_too(folder):
    first, second = saved(folder, certified(speedup=1.6), of_kind("wrong"))
    second.certificate.write_text("{")
    rows = {row["run"]: row for row in json.loads(asked("runs", "--runs", folder, "--json"))["runs"]}
    assert rows[first.id]["verdict"] == "ACCEPT"
    assert rows[first.id]["speedup"]["ratio"] > 1.4
    assert rows[second.id]["verdict"] == "DAMAGED"
    text = asked("runs", "--runs", folder, "--limit", "1")
    assert "1 older" in text
    listed = asked("runs", "--runs", folder)
    assert first.id in listed, "whole, to be copied"
    assert second.id in listed


def test_an_empty_folder_has_no_runs(folder):
    assert "no runs" in asked("runs", "--runs", folder)


def test_a_run_is_shown_again(folder):
    (run,) = saved(folder, certified())
    text = asked("show", "latest", "--runs", folder)
    assert "ACCEPT" in text
    assert str(run.page) in text.replace("\n", "")
    assert json.loads(asked("show", run.id[-6:], "--runs", folder, "--json"))["verdict"] == "ACCEPT"


def test_an_unknown_run_lists_the_choices(folder):
    (run,) = saved(folder, certified())
    with pytest.raises(InputError, match="no such run") as raised:
        asked("show", "nonsense", "--runs", folder)
    assert run.id in str(raised.value.next_step)


def test_two_runs_of_one_task_are_compared(folder):
    slow, fast = saved(folder, certified("slow", speedup=1.5), certified("fast", text="// fast", speedup=3.0))
    found = json.loads(asked("compare", slow.id, fast.id, "--runs", folder, "--json"))["second_over_first"]
    ratio, lower, upper = found["ratio"]
    assert 1.8 < lower < ratio < upper < 2.2
    text = asked("compare", slow.id, fast.id, "--runs", folder)
    assert "slow" in text
    assert "not timed against each other" in " ".join(text.split())


def test_the_bounds_hold_what_both_intervals_allow():
    slow, fast = certified(speedup=1.5), certified(text="// fast", speedup=3.0)
    ratio, lower, upper = against(slow, fast).ratio
    assert lower == fast["speedup"]["lower"] / slow["speedup"]["upper"]
    assert upper == fast["speedup"]["upper"] / slow["speedup"]["lower"]
    assert lower < ratio < upper


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (certified(task_name="gelu"), "different tasks"),
        (certified() | {"machine": certified()["machine"] | {"identity": "0" * 64}}, "different machines"),
        (certified() | {"axes": {"rows": 1}}, "different sizes"),
        (of_kind("wrong"), "no measured speedup"),
    ],
    ids=["tasks", "machines", "sizes", "wrong"],
)
def test_what_cannot_be_compared_is_said(other, words):
    found = against(certified(), other)
    assert found.ratio is None
    assert words in found.words
