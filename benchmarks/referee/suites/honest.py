"""Every honest candidate of tests/honest through the Referee; none may be found wrong."""

from __future__ import annotations

from assay.core.config import JudgeConfig
from benchmarks.referee import cases
from benchmarks.referee.results import Record
from benchmarks.referee.suite import Context, Suite
from benchmarks.referee.suites.judged import judge_all

_CONFIG = JudgeConfig(baseline="eager")
_TIMEOUT_S = 420.0


def run(context: Context, record: Record) -> None:
    """All of them, or a few."""
    judge_all(context.some(cases.honest(), 3), _CONFIG, _TIMEOUT_S, record)


SUITE = Suite("honest", run, 20, {"config": _CONFIG.to_json(), "timeout_s": _TIMEOUT_S})
