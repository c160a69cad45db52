"""The scoreboard from a small recorded JSON: misses stay visible, partial runs prove nothing, cells hold."""

from __future__ import annotations

import copy

import pytest

from benchmarks.referee import tally
from benchmarks.referee.cases import apply_edits
from benchmarks.referee.report import render
from benchmarks.referee.results import Results
from benchmarks.referee.targets import Row, rows

MACHINE = {
    "cpu_model": "Test CPU", "cores": 2, "memory_total_bytes": 8 << 30, "kernel": "6.1", "torch": "2.13", "gxx": "12",
    "python": "3.11",
}  # fmt: skip


def suite(results, **changes):
    busy = {"when": "2026-11-22T08:00:00+00:00", "load": 0.4, "psi_10s": 0.01, "psi_60s": 0.02}
    return {
        "started": "2026-11-22T08:00:00+00:00", "finished": "2026-11-22T08:10:00+00:00", "seconds": 600.0,
        "quick": False, "complete": True, "sources": "0123456789ab", "settings": {},
        "conditions": [{"at": "start", **busy}, {"at": "end", **busy}], "results": results,
    } | changes  # fmt: skip


def judged(name, verdict, code, *, group="state", fault="candidate", weight="fatal", **more):
    finding = {"code": code, "weight": weight, "fault": fault, "message": f"because of {code}"}
    return {
        "name": name, "task": "softmax", "group": group, "story": f"story of {name}", "native": True,
        "about_speed": False, "expected": "REJECT", "verdict": verdict, "findings": [finding], "left_running": 0,
        "verified_calls": 9, "load": 0.4, "seconds": 3.0,
    } | more  # fmt: skip


def conventional(kind, name, loose, strict, speedup=2.0, **more):
    right = {"1e-2": loose, "1e-4": strict}
    return {"name": f"{kind}/{name}", "kind": kind, "right": right, "speedup": speedup, "why": "", "native": True,
            "story": f"story of {name}", "about_speed": False, "load": 0.4} | more  # fmt: skip


def duel(name, outcome, interval, **more):
    return {"name": name, "outcome": outcome, "reason": None if outcome != "undecided" else "too-noisy",
            "message": "", "speedup": interval, "resolution": 0.01, "seconds": 4.0, "load": 0.4} | more  # fmt: skip


@pytest.fixture
def data():
    calibration = {"name": "calibration", "truth": 1.299, "nominal": 1.3, "fixed_us": 2.0, "unit_us": 100.0,
                   "measured_ratio_of_work": 1.3, "load": 0.4}  # fmt: skip
    middles = {"null call us": 40.0, "fresh worker ms": 80.0, "build gelu cpu s": 0.4}
    costs = [{"name": name, "quantiles": [1, 2, q, 4, 5], "count": 50, "load": 0.4} for name, q in middles.items()]
    return {
        "schema": 1,
        "machine": MACHINE,
        "suites": {
            "exploits": suite([judged("zeros_output", "REJECT", "wrong-result")]),
            "mutants": suite([
                judged("gelu/tail", "REJECT", "wrong-result", group="tail"),
                judged("gelu/missed", "INCONCLUSIVE", "within-noise", group="lane", weight="doubt", fault="machine"),
                judged("control/gelu", "REJECT", "not-faster", group="control", fault=None),
            ]),
            "honest": suite([judged("plain", "INCONCLUSIVE", "too-noisy", weight="doubt", fault="machine")]),
            "a_a": suite([duel("judge softmax 0", "undecided", [1.0, 0.98, 1.02], how="judge", task="softmax")]),
            "known_ratio": suite([calibration, duel("run 0", "faster", [1.3, 1.28, 1.32])]),
            "resolution": suite([
                duel("work 10 s #0", "undecided", [1.0, 0.99, 1.01], kernel="work", budget_s=10, detectable=1.02),
                duel("load 1 same 0", "undecided", None, busy_each_core=1, truth=1.0, wrong=False),
            ]),
            "costs": suite(costs),
            "conventional": suite([
                conventional("exploits", "zeros_output", True, False),
                conventional("mutants", "gelu/tail", True, True),
                conventional("honest", "plain", True, False),
                conventional("a_a", "0", True, True, speedup=1.2),
            ]),
        },
    }  # fmt: skip


def row(data, what):
    return next(row for row in rows(data) if row.what == what)


def test_nothing_measured_gives_a_document_that_says_so():
    text = render({"schema": 1, "machine": None, "suites": {}})
    assert "Nothing has been measured yet." in text
    assert text.count("not run") >= 10


def test_every_target_of_a_suite_that_has_not_run_says_so(data):
    full = {row.what for row in rows(data)}
    for name in [name for name in data["suites"] if name != "conventional"]:
        less = copy.deepcopy(data)
        del less["suites"][name]
        assert {row.what for row in rows(less)} == full
        assert any(row.met == Row.ABSENT for row in rows(less))


def test_a_met_target_is_met_only_by_a_full_run(data):
    assert row(data, "attacks accepted").met == Row.YES
    for change in ({"quick": True}, {"complete": False}, {"broken": "Traceback"}):
        less = copy.deepcopy(data)
        less["suites"]["exploits"] |= change
        assert row(less, "attacks accepted").met == Row.PARTLY


def test_a_miss_is_a_miss_in_any_run_and_is_listed(data):
    fooled = judged("zeros_output", "ACCEPT", "chained-calls", weight="note")
    data["suites"]["exploits"] = suite([fooled], quick=True)
    assert row(data, "attacks accepted").met == Row.NO
    text = render(data)
    assert "**Not met:** attacks accepted" in text
    assert "| zeros_output | REJECT | ACCEPT |" in text


def test_a_missed_bug_is_listed_with_its_story(data):
    assert row(data, "planted bugs caught").measured == "1 of 2"
    assert row(data, "planted bugs caught").met == Row.NO
    assert "| gelu/missed | lane | INCONCLUSIVE | 9 | story of gelu/missed |" in render(data)


def test_a_right_kernel_that_is_not_faster_is_not_found_wrong(data):
    assert row(data, "unchanged kernels found wrong").measured == "0 of 1"


def test_a_mutant_counts_as_caught_only_for_what_it_computes():
    assert tally.found_wrong(judged("m", "REJECT", "wrong-result"))
    assert tally.found_wrong(judged("m", "REJECT", "crashed"))
    for code in ("impossible", "clocks-disagree", "does-not-build"):
        case = judged("m", "REJECT", code)
        assert tally.blamed(case)
        assert not tally.found_wrong(case)


def test_costs_are_held_to_their_limits(data):
    assert row(data, "null call, median").met == Row.YES
    assert row(data, "fresh worker, median").met == Row.NO
    assert row(data, "full verdict from cold, baseline known").met == Row.ABSENT


def test_the_conventional_judge_stands_beside_the_referee(data):
    attacks, bugs, honest = (
        row(data, what)
        for what in ("attacks accepted", "planted bugs caught", "honest candidates rejected as wrong")
    )  # fmt: skip
    assert (attacks.loose, attacks.strict) == ("1 of 1", "0 of 1")
    assert (bugs.loose, bugs.strict) == ("0 of 1", "0 of 1")
    assert (honest.loose, honest.strict) == ("0 of 1", "1 of 1")
    assert "1 above 1.05x of 1" in row(data, "false claims, same code on both sides").loose


def test_no_false_claims_prove_nothing_where_noise_forbids_any_claim(data):
    what = "false claims, same code on both sides"
    assert row(data, what).met == Row.YES
    noisy = duel("judge softmax 1", "undecided", None, how="judge", task="softmax")
    data["suites"]["a_a"]["results"].append(noisy)
    assert row(data, what).met == Row.NOISY


def test_an_attack_on_speed_counts_as_accepted_only_if_it_is_believed_to_be_faster():
    slow = conventional("exploits", "x", True, True, speedup=0.9, about_speed=True)
    assert not tally.fooled(slow, "1e-2")
    assert tally.fooled(slow | {"speedup": 1.1}, "1e-2")
    assert tally.fooled(slow | {"about_speed": False}, "1e-2")
    assert not tally.fooled(slow | {"speedup": None}, "1e-2")


def test_an_interval_that_misses_the_truth_and_a_run_without_one_do_not_hold_it():
    assert tally.holds({"speedup": [1.3, 1.28, 1.32]}, 1.299)
    assert not tally.holds({"speedup": [1.3, 1.2995, 1.32]}, 1.299)
    assert not tally.holds({"speedup": None}, 1.299)


def test_a_failure_of_the_referee_is_counted_and_shown(data):
    failed = {**judged("crasher", "", "x"), "error": "Traceback\nRuntimeError: the referee fell over"}
    del failed["verdict"], failed["findings"]
    data["suites"]["exploits"] = suite([failed])
    assert row(data, "failures of the referee itself").met == Row.NO
    assert "RuntimeError: the referee fell over" in render(data)


def test_hostile_words_cannot_leave_their_cell(data):
    story = "a | b\n\n## Heading <script>"
    data["suites"]["mutants"]["results"][1]["story"] = story
    line = next(line for line in render(data).splitlines() if line.startswith("| gelu/missed"))
    assert "a \\| b ## Heading &lt;script>" in line


def test_the_same_results_give_the_same_text_and_stay_untouched(data):
    before = copy.deepcopy(data)
    assert render(data) == render(data)
    assert data == before


def test_an_edit_must_fit_exactly_once():
    assert apply_edits("a b", [{"find": "a", "replace": "c"}], "m") == "c b"
    for text in ("b", "a a"):
        with pytest.raises(ValueError, match="must occur once"):
            apply_edits(text, [{"find": "a", "replace": "c"}], "m")


def record_one(path, suite_name, result, *, interrupt=False, resume=False):
    with Results(path) as results, results.begin(suite_name, {}, quick=True, resume=resume) as record:
        record.add({"name": result})
        if interrupt:
            raise KeyboardInterrupt


def test_a_rerun_replaces_its_own_suite_only_and_an_interrupted_one_is_kept_and_resumed(tmp_path):
    path = tmp_path / "results.json"
    for name, result in (("one", "a"), ("two", "b"), ("one", "c")):
        record_one(path, name, result)
    with pytest.raises(KeyboardInterrupt):
        record_one(path, "two", "d", interrupt=True)
    kept = Results(path, writing=False).data["suites"]
    assert [r["name"] for r in kept["one"]["results"]] == ["c"]
    assert [r["name"] for r in kept["two"]["results"]] == ["d"]
    assert (kept["one"]["complete"], kept["two"]["complete"]) == (True, False)
    record_one(path, "two", "e", resume=True)
    resumed = Results(path, writing=False).data["suites"]["two"]
    assert [r["name"] for r in resumed["results"]] == ["d", "e"]
    assert resumed["complete"]


def test_two_runs_cannot_write_one_file_and_no_lock_is_left_behind(tmp_path, monkeypatch):
    locks = tmp_path / "locks"
    locks.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(locks))
    with Results(tmp_path / "results.json") as first, pytest.raises(BlockingIOError):
        Results(tmp_path / "results.json")
    assert first.data["suites"] == {}
    (tmp_path / "other.json").write_text('{"schema": 0}')
    with pytest.raises(ValueError, match="schema 0"):
        Results(tmp_path / "other.json")
    assert list(locks.iterdir()) == []
    with Results(tmp_path / "results.json"):
        assert len(list(locks.iterdir())) == 1
