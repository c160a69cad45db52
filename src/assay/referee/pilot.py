"""What measuring a task costs at this moment, tried on its baseline, so that a plan can be made beforehand.

The figures that a baseline was chosen by may be of another hour.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from assay.referee.bench import Bench
from assay.referee.protocol.oracle_client import NUMPY_TYPES
from assay.referee.protocol.party import Program
from assay.referee.protocol.settling import settle
from assay.referee.timing.pairing import Refusal
from assay.referee.timing.planning import Plan, plan

_FIRST_CALL_SECONDS = 180.0
_CALLS_THAT_COUNT = 5
_SHORTEST_BUDGET_SHARE = 0.5
"""However much the hidden turns take, this much of a budget goes into timing."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Nanoseconds: a timed window of the baseline, a turn besides its three windows, a fresh process until it has
    settled, and all hidden turns of a measurement."""

    call_ns: float
    turn_ns: float
    process_ns: float
    hidden_ns: float

    def plan(self, budget_s: float) -> Plan | Refusal:
        """The rounds and turns that the budget pays for."""
        timing_s = max(budget_s - self.hidden_ns / 1e9, _SHORTEST_BUDGET_SHARE * budget_s)
        return plan(self.call_ns, self.turn_ns, self.process_ns, timing_s)


def measure_costs(bench: Bench, baseline: Program, known_call_ns: float, hidden_turns: int) -> Costs:
    """One process of the baseline and one turn, carried out. `known_call_ns` serves where the baseline fails here."""
    call_ns, process_ns = _process(bench, baseline, known_call_ns)
    turn_ns = _turn(bench)
    return Costs(call_ns, turn_ns, process_ns, hidden_turns * (turn_ns / bench.windowed.chain + call_ns))


def _process(bench: Bench, baseline: Program, known_call_ns: float) -> tuple[float, float]:
    bench.fresh_weights()
    landing = bench.draw_window()
    start = time.monotonic()
    party = bench.party(baseline)
    try:
        if party.problem is None:
            party.lay_out(bench.windowed)
        times = [known_call_ns]
        if party.problem is None:
            bench.land(landing)
            times = [call.wall_ns for call, _ in settle(party, landing.run_seed, _FIRST_CALL_SECONDS)]
    finally:
        party.close()
    return float(min(times[-_CALLS_THAT_COUNT:])), (time.monotonic() - start) * 1e9


def _turn(bench: Bench) -> float:
    start = time.monotonic()
    landing = bench.draw_window()
    for _ in range(3):
        bench.land(landing)
    outputs = [np.zeros(spec.shape, NUMPY_TYPES[spec.dtype]) for spec in bench.timed.outputs]
    checking = time.monotonic()
    bench.budget.check(outputs, landing.draw or bench.oracle.evaluate(bench.timed, landing.inputs[0]))
    end = time.monotonic()
    return ((checking - start) + (end - checking) * len(landing.inputs)) * 1e9
