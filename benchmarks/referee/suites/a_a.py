"""False claims: the same code on both sides, 300 times. A claim of FASTER, let alone an ACCEPT, is false here.

Half go through `Referee.judge` with a Python candidate that is the reference itself; half are C++ kernels against
themselves through the same bench, measurement and decision. Tasks are cut down so that 300 runs fit half an hour:
small sizes and no boundary shapes, which cost time and decide nothing about speed.
"""

from __future__ import annotations

from typing import Any

from assay.core.config import JudgeConfig
from assay.core.sources import Task
from assay.errors import AssayError
from assay.referee.judge import Referee
from assay.tasks.candidates import load_candidate
from assay.tasks.load import load_task
from benchmarks.referee.arena import Arena
from benchmarks.referee.court import brief
from benchmarks.referee.results import ROOT, Record
from benchmarks.referee.suite import Context, Suite
from benchmarks.referee.synthetic import same_as_reference, work_kernel, work_task

_SIZES = {
    "softmax": {"rows": 256, "cols": 2048},
    "swish_gate": {"tokens": 256, "width": 1024},
    "layer_norm": None,
}
_EACH = 50
_ROUNDS, _TURNS = 8, 10
_BUDGET_S = 3.0


def small_task(name: str) -> Task:
    """A builtin task at a small size and only at that."""
    axes = _SIZES.get(name)
    return load_task(name, overrides={"limits": {}, "workloads": [{}]} | ({"axes": axes} if axes else {}))


def run(context: Context, record: Record) -> None:
    """Three tasks through the judge, then three kernels through an arena."""
    each = context.pick(_EACH, 1)
    python, kernels = ("softmax", "swish_gate", "layer_norm"), ("softmax", "swish_gate", "work")
    record.total = each * (len(python) + len(kernels))
    for name in python:
        _judged(name, each, record)
    for name in kernels:
        _duelled(name, each, record)


def _judged(name: str, each: int, record: Record) -> None:
    task = small_task(name)
    candidate = same_as_reference(task)
    with Referee(JudgeConfig(baseline="eager", budget_s=_BUDGET_S)) as referee:
        for index in range(each):
            label = f"judge {name} {index}"
            if record.has(label):
                continue
            try:
                found = brief(referee.judge(task, candidate))
            except (AssayError, RuntimeError) as error:
                found = {"error": f"{type(error).__name__}: {error}"}
            record.add({"name": label, "how": "judge", "task": name, **found}, _words(found))


def _duelled(name: str, each: int, record: Record) -> None:
    task = work_task() if name == "work" else small_task(name)
    kernel = work_kernel(10) if name == "work" else load_candidate(ROOT / "tests" / "kernels" / f"{name}.cpp")
    with Arena(task) as arena:
        program = arena.native(kernel)
        for index in range(each):
            label = f"kernel {name} {index}"
            if record.has(label):
                continue
            try:
                found: dict[str, Any] = arena.duel(program, program, _ROUNDS, _TURNS).to_json()
            except RuntimeError as error:
                found = {"error": str(error)}
            record.add({"name": label, "how": "kernel", "task": name, **found}, _words(found))


def _words(found: dict[str, Any]) -> str:
    if "error" in found:
        return str(found["error"])[-200:]
    speed = found["speedup"]
    shown = f"{speed[0]:.3f}x [{speed[1]:.3f}, {speed[2]:.3f}]" if speed else "no interval"
    return f"{found['outcome']} {found.get('reason') or ''} {shown} in {found['seconds']} s"


SUITE = Suite(
    "a_a", run, 30,
    {"each": _EACH, "sizes": _SIZES, "rounds": _ROUNDS, "turns": _TURNS, "judge_budget_s": _BUDGET_S},
)  # fmt: skip
