"""The benchmark of pruning in one shot: its intervals and ranks on made-up rows, and one small run."""

import dataclasses
import random

import pytest
from scipy import stats

from benchmarks.moe.settings import load_settings, quick
from benchmarks.moe.text import load_corpus
from benchmarks.pruners.report import BASELINE, interval, losses_at, render
from benchmarks.pruners.ways import SPARSITIES, WAYS, measure


def row(seed, dense, **bits):
    pruned = [{"way": way, "sparsity": 0.5, "zeros": 0.5, "bits": each} for way, each in bits.items()]
    return {"name": f"seed {seed}", "seed": seed, "dense": dense, "steps": 10, "parameters": 1000, "pruned": pruned}


def recorded(rows):
    suite = {"started": "2026-01-01", "complete": True, "results": rows}
    return {"machine": {"cpu_model": "a processor", "torch": "2"}, "suites": {"runs": suite}}


def test_intervals_are_students_over_seeds():
    values = [0.1, 0.4, 0.2, 0.35]
    mean, low, high = interval(values)
    expected = stats.t.interval(0.95, 3, loc=sum(values) / 4, scale=stats.sem(values))
    assert (low, high) == pytest.approx(expected)
    assert mean == pytest.approx(0.2625)
    assert interval([0.3]) == (0.3, -float("inf"), float("inf"))


def test_losses_are_paired_with_the_dense_model_of_the_same_seed():
    rows = [row(1, 2.0, a=2.5), row(2, 3.0, a=3.25)]
    assert losses_at(rows, 0.5) == {"a": [0.5, 0.25]}


def test_ways_are_ranked_and_those_that_seeds_do_not_tell_apart_are_said_to_be_so():
    chance = random.Random(0)
    levels = {"good": 0.1, "alike": 0.5, BASELINE: 0.5, "bad": 0.9}
    rows = [row(seed, 2.0 + seed, **{way: 2.0 + seed + each + chance.gauss(0, 0.01) for way, each in levels.items()})
            for seed in range(5)]  # fmt: skip
    text = render([recorded([*rows, {**row(9, None), "dense": None}])])
    lines = {line.split(" | ")[0][2:]: line for line in text.splitlines() if line.startswith("| ")}
    order = [name for name in lines if name in levels]
    assert (order[0], order[-1]) == ("good", "bad")
    words = {name: lines[name].split(" | ")[-1] for name in order}
    assert words == {"good": "better |", "alike": "not told apart |", BASELINE: " |", "bad": "worse |"}
    assert float(lines["bad"].split(" | ")[1]) == pytest.approx(0.9, abs=0.02)
    assert float(lines["good"].split(" | ")[3]) == pytest.approx(0.4, abs=0.02)
    assert "1 seeds diverged" in text


def test_a_run_prunes_one_model_in_all_ways_to_exact_shares(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text(" ".join(f"number {number} of many" for number in range(3000)))
    settings = quick(load_settings())
    corpus = load_corpus(settings, text)
    corpus = dataclasses.replace(corpus, measuring=corpus.measuring[:2])
    found = measure(1, settings, corpus, steps=2)
    assert [(each["sparsity"], each["way"]) for each in found["pruned"]] == [
        (sparsity, way) for sparsity in SPARSITIES for way in WAYS
    ]
    assert all(each["zeros"] == pytest.approx(each["sparsity"], abs=1e-5) for each in found["pruned"])
    assert found["steps"] == 2
    assert all(0 < each["bits"] < 12 for each in found["pruned"])
