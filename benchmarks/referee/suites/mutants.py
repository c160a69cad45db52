"""Every planted bug of tests/mutants through the Referee, and the kernels without their bugs as controls.

A mutant is caught where it is rejected for what it computes. The budget is small, since a wrong candidate ends its
measurement at the first wrong output; a larger one can only catch more.
"""

from __future__ import annotations

from assay.core.config import JudgeConfig
from benchmarks.referee import cases
from benchmarks.referee.results import Record
from benchmarks.referee.suite import Context, Suite
from benchmarks.referee.suites.judged import judge_all

_CONFIG = JudgeConfig(baseline="eager", budget_s=6.0)
_TIMEOUT_S = 300.0


def run(context: Context, record: Record) -> None:
    """Mutants with the control of the same task beside them, so that a prepared bench serves both."""
    mutants, kernels = context.some(cases.mutants(), 4), cases.kernels()
    wanted = {case.task.name for case in mutants}
    both = mutants + [case for case in kernels if case.task.name in wanted]
    judge_all(sorted(both, key=lambda case: (case.task.name, case.name)), _CONFIG, _TIMEOUT_S, record)


SUITE = Suite("mutants", run, 60, {"config": _CONFIG.to_json(), "timeout_s": _TIMEOUT_S})
