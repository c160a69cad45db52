"""The smallest speedup that can be proved, against the seconds spent; and what a busy machine does to verdicts.

Quiet: the same kernel on both sides under plans of 2, 5, 10 and 20 s; `detectable_speedup` reads off each what a true
speedup would have to be. Loaded: busy processes on every core while the same kernels are judged at a true 1.0x and
1.3x; a wrong claim is one that contradicts the known truth.
"""

from __future__ import annotations

from typing import Any

from assay.core.config import Depth
from assay.core.sources import Candidate, Task
from assay.referee.agenda import Agenda
from assay.referee.pilot import measure_costs
from assay.referee.protocol.party import Program
from assay.referee.protocol.shell_cost import CALLS
from assay.referee.timing.pairing import Refusal
from assay.referee.timing.planning import detectable_speedup
from assay.tasks.candidates import load_candidate
from benchmarks.referee.arena import Arena
from benchmarks.referee.load import busy
from benchmarks.referee.results import ROOT, Record
from benchmarks.referee.suite import Context, Suite
from benchmarks.referee.suites.a_a import small_task
from benchmarks.referee.suites.known_ratio import FAST_UNITS, SLOW_UNITS
from benchmarks.referee.synthetic import work_kernel, work_task

_SECONDS = (2, 5, 10, 20)
_REPEATS = 3
_LOADED_RUNS = 10
_BUSY_EACH_CORE = (1, 2)
_ROUNDS, _TURNS = 8, 10


def run(context: Context, record: Record) -> None:
    """The curve, then the verdicts under load."""
    seconds, repeats = context.pick(_SECONDS, (2,)), context.pick(_REPEATS, 1)
    loaded, loads = context.pick(_LOADED_RUNS, 1), context.pick(_BUSY_EACH_CORE, (2,))
    record.total = 2 * len(seconds) * repeats + 2 * len(loads) * loaded
    softmax = load_candidate(ROOT / "tests" / "kernels" / "softmax.cpp")
    _curve("work", work_task(), work_kernel(FAST_UNITS), seconds, repeats, record)
    _curve("softmax", small_task("softmax"), softmax, seconds, repeats, record)
    with Arena(work_task()) as arena:
        slow, fast = (arena.native(work_kernel(units)) for units in (SLOW_UNITS, FAST_UNITS))
        for each_core in loads:
            with busy(each_core):
                for index in range(loaded):
                    _under_load(arena, f"load {each_core} same {index}", fast, fast, 1.0, each_core, record)
                    truth = SLOW_UNITS / FAST_UNITS
                    _under_load(arena, f"load {each_core} 1.3x {index}", slow, fast, truth, each_core, record)


def _curve(label: str, task: Task, kernel: Candidate, seconds: tuple[int, ...], repeats: int, record: Record) -> None:
    with Arena(task) as arena:
        program = arena.native(kernel)
        for repeat in range(repeats):
            for budget_s in seconds:
                name = f"{label} {budget_s} s #{repeat}"
                if record.has(name):
                    continue
                found = _detectable(arena, program, budget_s)
                smallest = found.get("detectable")
                words = f"{100 * (smallest - 1):.2f} %" if smallest else str(found.get("refused") or found.get("error"))
                record.add({"name": name, "kernel": label, "budget_s": budget_s, **found}, words)


def _detectable(arena: Arena, program: Program, budget_s: int) -> dict[str, Any]:
    call_ns = arena.median_ns(program)
    if call_ns != call_ns:
        return {"refused": "every call was preempted"}
    hidden = Agenda(arena.bench, sealed_late=False).hidden_turns
    chosen = measure_costs(arena.bench, program, call_ns, hidden, CALLS[Depth.FULL]).plan(budget_s)
    if isinstance(chosen, Refusal):
        return {"refused": chosen.message, "call_us": call_ns / 1e3}
    try:
        duel = arena.duel(program, program, chosen.rounds, chosen.turns)
    except RuntimeError as error:
        return {"error": str(error)}
    found = {"rounds": chosen.rounds, "turns": chosen.turns, "call_us": call_ns / 1e3, **duel.to_json()}
    if duel.triples is None:
        return found | {"refused": duel.problem}
    smallest = detectable_speedup(duel.triples, duel.overhead)
    return found | ({"refused": smallest.message} if isinstance(smallest, Refusal) else {"detectable": smallest})


def _under_load(
    arena: Arena, name: str, baseline: Program, candidate: Program, truth: float, each_core: int, record: Record
) -> None:
    if record.has(name):
        return
    try:
        found = arena.duel(baseline, candidate, _ROUNDS, _TURNS).to_json()
    except RuntimeError as error:
        found = {"error": str(error), "message": str(error)}
    result = {"name": name, "busy_each_core": each_core, "truth": truth, "wrong": is_wrong(found, truth), **found}
    record.add(result, f"{found.get('outcome')} {found['message'][:90]}")


def is_wrong(found: dict[str, Any], truth: float) -> bool:
    """Whether a decision contradicts the truth: FASTER where nothing is, NOT_FASTER where 1.3x is."""
    return found.get("outcome") == ("faster" if truth == 1.0 else "not-faster")


SUITE = Suite(
    "resolution", run, 12,
    {"seconds": _SECONDS, "repeats": _REPEATS, "loaded_runs": _LOADED_RUNS, "busy_each_core": _BUSY_EACH_CORE,
     "rounds": _ROUNDS, "turns": _TURNS},
)  # fmt: skip
