"""The table of what the engineer reaches: failures count as 1.0x, and everything that was tried is a row."""

import pytest

from benchmarks.engineer.report import mean_with_failures, render

SEARCHED = {"ideas": 4, "knockoffs": {"run": 2, "tried": 2, "won": 1}, "overhead_share": 0.01, "baseline": "compile"}
ROWS = [
    {"name": "fast", "outcome": "ACCEPT", "speedup": [4.0, 3.8, 4.2], "findings": [], **SEARCHED},
    {"name": "unsure", "outcome": "INCONCLUSIVE", "speedup": [9.0, 0.9, 20.0], "findings": ["too-noisy"], **SEARCHED},
    {"name": "slow", "outcome": "REJECT", "speedup": [0.5, 0.4, 0.6], "findings": ["not-faster"], **SEARCHED},
    {"name": "untried", "outcome": "not-tried", "reason": "no generator for aten.sort | really"},
]
DATA = {
    "machine": {
        "cpu_model": "a processor",
        "cores": 2,
        "torch": "2.13",
        "caches": [{"level": 1, "kind": "data", "size_bytes": 49152}],
    },
    "suites": {
        "builtin": {"started": "2026-01-02T03:04", "results": ROWS, "complete": False, "settings": {"budget_s": 60.0}}
    },
}


def test_what_is_not_certified_counts_as_one_however_fast_it_seemed():
    assert mean_with_failures(ROWS) == pytest.approx(4.0 ** (1 / 4))
    assert mean_with_failures([]) == 1.0


def test_the_table_holds_every_task_with_the_reason_and_says_that_the_run_was_cut_short():
    text = render([DATA, DATA | {"machine": {"cpu_model": "another"}}])
    assert "## a processor, 48 KiB L1" in text
    assert "## another\n" in text
    assert text.count("1 of 4 (25%)") == 2
    assert "1.41x" in text
    assert "cut short" in text
    assert "2 of 6 would" not in text
    assert "3 of 6 would have won by noise" in text
    for words in ("too-noisy", "not-faster", "aten.sort \\| really", "4.00x (3.80 to 4.20)"):
        assert words in text
    assert text.index("| fast ") < text.index("| untried ")
