"""Whole commands with almost no training, and what the report makes of rows and networks."""

import json
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from assay.errors import InputError
from benchmarks.life import networks
from benchmarks.life.__main__ import main
from benchmarks.life.figures import glider, network_picture, predict
from benchmarks.life.record import DATA, Record
from benchmarks.life.report import render, wilson
from benchmarks.life.rules import torus_step
from benchmarks.life.settings import Success, full, quick
from benchmarks.life.success import try_instances
from benchmarks.life.tasks import random_board
from tests.life.exact_networks import exact, wrong_on_one

TIMES = re.compile(r'"(cpu_s|wall_s|when|load)": [^,}]+')


def run(monkeypatch, *words):
    monkeypatch.setattr("sys.argv", ["life", *words, "--quick"])
    assert main() == 0


def rows_of(path):
    return TIMES.sub("", json.dumps(json.loads(path.read_text())["suites"]))


def test_commands_run_go_on_where_they_were_left_and_repeat_to_the_bit(tmp_path, monkeypatch, capsys):
    first, second = tmp_path / "a" / "r.json", tmp_path / "b" / "r.json"
    for path in (first, second):
        run(monkeypatch, "success", "--json", str(path))
        run(monkeypatch, "prune", "one-step", "three-steps-told", "--json", str(path))
    assert rows_of(first) == rows_of(second)
    data = json.loads(first.read_text())
    kept = [row for row in data["suites"]["prune"] if row["experiment"] != "one-step"]
    data["suites"]["prune"] = kept  # as if the command had been interrupted before
    first.write_text(json.dumps(data))
    run(monkeypatch, "prune", "one-step", "--json", str(first))
    whole = json.loads(first.read_text())["suites"]["prune"]
    assert {row["name"] for row in whole} == {row["name"] for row in json.loads(second.read_text())["suites"]["prune"]}
    again = first.read_text()
    run(monkeypatch, "prune", "one-step", "--json", str(first))
    assert json.loads(first.read_text())["suites"] == json.loads(again)["suites"]
    run(monkeypatch, "report", "--json", str(first), "--docs", str(tmp_path))
    assert "0 of 2 seeds are proved right" in (tmp_path / "life-results.md").read_text()


def test_seeds_that_were_stopped_are_published_with_how_far_they_were(tmp_path, monkeypatch, capsys):
    def stopped(training, holds, schedule, begun, least, history, say):
        history.extend([[121, 121], [90, 80], [90, 70]])
        raise KeyboardInterrupt

    path = tmp_path / "r.json"
    with monkeypatch.context() as patched:
        patched.setattr("benchmarks.life.finding.prune", stopped)
        patched.setattr("sys.argv", ["life", "prune", "one-step", "--json", str(path), "--quick"])
        assert main() == 130
    run(monkeypatch, "report", "--json", str(path), "--docs", str(tmp_path))
    text = (tmp_path / "life-results.md").read_text()
    assert "after 2 rounds of pruning: right with 90 parameters (74.4%), the same as 1 round before" in text
    assert "right with 70 parameters (57.9%)." in text
    run(monkeypatch, "prune", "one-step", "--json", str(path))
    run(monkeypatch, "report", "--json", str(path), "--docs", str(tmp_path))
    assert "was stopped" not in (tmp_path / "life-results.md").read_text()


def test_results_of_other_settings_are_not_continued(tmp_path):
    Record(tmp_path / "r.json", quick(), quick=True).save()
    with pytest.raises(InputError, match="other settings"):
        Record(tmp_path / "r.json", full())


def test_an_unknown_experiment_lists_the_known_ones(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["life", "prune", "four-steps", "--json", str(tmp_path / "r.json"), "--quick"])
    assert main() == 1
    assert "one-step, two-steps" in capsys.readouterr().err


def test_a_wide_network_of_one_step_learns_and_a_row_counts_it():
    row = try_instances(Success(1, 8, 4, 2000, 250, 5e-3))
    assert row["sampled"] == row["exact"] == 4
    assert max(row["when_right"]) <= 2000


def test_limits_of_a_share_are_wilsons():
    low, high = wilson(3, 64)
    assert (low, high) == (pytest.approx(0.016069, abs=1e-6), pytest.approx(0.128997, abs=1e-6))
    assert wilson(0, 10)[0] == 0.0
    with pytest.raises(ValueError, match="no share"):
        wilson(1, 0)


def test_a_network_predicts_a_board_whose_edges_adjoin():
    board = random_board(np.random.default_rng(0), 12, 9)
    assert np.array_equal(predict(exact(2), board), torus_step(torus_step(board)))


def test_pictures_are_svg_show_every_weight_and_mark_cells_that_are_wrong():
    picture = ElementTree.fromstring(network_picture(exact(2)))
    edges = [each for each in picture.iter() if each.get("class", "").startswith("edge")]
    assert len(edges) == 2 * (18 + 2) + 1
    assert sum(each.get("class") == "edge second" for each in edges) == 2 * (9 + 2)
    assert "differs" not in re.sub("<style>.*?</style>", "", glider(exact(1)), flags=re.S)
    assert 'class="differs"' in glider(wrong_on_one(0))


def test_the_published_report_is_what_its_data_and_networks_give():
    files = sorted(DATA.glob("*.json"))
    text, pictures = render({file.stem: json.loads(file.read_text()) for file in files}, full(), networks.NETWORKS)
    docs = DATA.parents[1]
    assert (docs / "life-results.md").read_text() == text
    assert {path.name for path in (docs / "figures" / "life").glob("*.svg")} == set(pictures)
