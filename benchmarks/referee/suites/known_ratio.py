"""A true speedup that is known: 13 units of work against 10, a hundred times.

How often is it proved, and how often does the interval contain the truth? The fixed part of a call is measured first,
in the same shell, and the truth is corrected by it; both truths are recorded.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.referee.arena import Arena
from benchmarks.referee.results import Record
from benchmarks.referee.suite import Context, Suite
from benchmarks.referee.synthetic import STEPS_A_UNIT, work_kernel, work_task

SLOW_UNITS, FAST_UNITS = 13, 10
_RUNS, _ROUNDS, _TURNS = 100, 8, 10
_CALIBRATION_CALLS = 200


def run(context: Context, record: Record) -> None:
    """Calibrate, then the runs."""
    runs = context.pick(_RUNS, 2)
    record.total = runs + 1
    with Arena(work_task()) as arena:
        if not record.has("calibration"):
            found = calibrate(arena, context.pick(_CALIBRATION_CALLS, 20))
            words = f"truth {found['truth']:.5f}, fixed {found['fixed_us']:.2f} us"
            record.add({"name": "calibration", **found}, words)
        slow, fast = (arena.native(work_kernel(units)) for units in (SLOW_UNITS, FAST_UNITS))
        for index in range(runs):
            if record.has(f"run {index}"):
                continue
            try:
                result = arena.duel(slow, fast, _ROUNDS, _TURNS).to_json()
            except RuntimeError as error:
                result = {"error": str(error), "message": str(error)}
            record.add({"name": f"run {index}", **result}, f"{result.get('outcome')} {result['message'][:90]}")


def calibrate(arena: Arena, calls: int) -> dict[str, Any]:
    """The fixed part beyond a null kernel, the time of a unit, and the ratio that follows; medians, interleaved."""
    names = {"null": arena.null()} | {str(u): arena.native(work_kernel(u)) for u in (0, FAST_UNITS, SLOW_UNITS)}
    times = arena.call_times(names, calls)
    typical = {name: float(np.median(values)) for name, values in times.items() if values}
    if len(typical) < len(names):
        raise RuntimeError("every call was preempted: the fixed part cannot be calibrated now")
    fixed = max(typical["0"] - typical["null"], 0.0)
    slow, fast = typical[str(SLOW_UNITS)] - typical["0"], typical[str(FAST_UNITS)] - typical["0"]
    unit = slow / SLOW_UNITS
    return {
        "kept_calls": {name: len(values) for name, values in times.items()},
        "median_us": {name: value / 1e3 for name, value in typical.items()},
        "fixed_us": fixed / 1e3,
        "unit_us": unit / 1e3,
        "measured_ratio_of_work": slow / fast,
        "truth": (fixed + SLOW_UNITS * unit) / (fixed + FAST_UNITS * unit),
        "nominal": SLOW_UNITS / FAST_UNITS,
    }


SUITE = Suite(
    "known_ratio", run, 8,
    {"runs": _RUNS, "rounds": _ROUNDS, "turns": _TURNS, "units": [SLOW_UNITS, FAST_UNITS], "steps": STEPS_A_UNIT},
)  # fmt: skip
