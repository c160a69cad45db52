"""What the suites of cases share: put every case before the court and record what it says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from assay.core.config import JudgeConfig
from benchmarks.referee.cases import Case
from benchmarks.referee.court import Court
from benchmarks.referee.results import Record
from benchmarks.referee.tally import error_line


def judge_all(cases: Sequence[Case], config: JudgeConfig, timeout_s: float, record: Record) -> int | None:
    """Judge every case; how many sandboxed processes the last referee left behind, None where that is unknown."""
    record.total = record.total or len(cases)
    with Court(config, timeout_s) as court:
        for case in cases:
            if record.has(case.name):
                continue
            found = court.judge(case.task, case.candidate, case.threads)
            record.add({**case.to_json(), **found}, words(found))
        return court.close()


def words(found: dict[str, Any]) -> str:
    """One line for the progress."""
    if "error" in found:
        return "REFEREE FAILED: " + error_line(found["error"])
    codes = [f["code"] for f in found["findings"] if f["weight"] != "note"]
    return f"{found['verdict']} {' '.join(codes)} in {found['seconds']} s"
