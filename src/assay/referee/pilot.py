"""What measuring a task costs at this moment, tried on its baseline, so that a plan can be made beforehand.

The figures that a baseline was chosen by may be of another hour.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from assay.referee.bench import Bench
from assay.referee.protocol.oracle_client import NUMPY_TYPES
from assay.referee.protocol.party import Party, Program
from assay.referee.protocol.predecessor import precedes
from assay.referee.protocol.settling import settle
from assay.referee.timing.pairing import Refusal
from assay.referee.timing.planning import Plan, plan

_FIRST_CALL_SECONDS = 180.0
_CALLS_THAT_COUNT = 5
_SHORTEST_BUDGET_SHARE = 0.5
"""However much the hidden turns take, this much of a budget goes into timing."""

_STRETCHES = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
"""A measurement that is too short to prove anything wastes the whole budget; a process that compiles takes a second."""
_CANDIDATE_NS = 0.1e9
"""A native candidate's fresh process, until it has settled."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Nanoseconds: a timed window of the baseline, a turn besides its three windows, a fresh process until it has
    settled (the mean of two baselines and a candidate), and a measurement's hidden turns and null calls."""

    call_ns: float
    turn_ns: float
    process_ns: float
    untimed_ns: float

    def plan(self, budget_s: float) -> Plan | Refusal:
        """The rounds and turns that the budget pays for, or somewhat more where it pays for too few."""
        for stretch in _STRETCHES:
            timing_s = max(stretch * budget_s - self.untimed_ns / 1e9, _SHORTEST_BUDGET_SHARE * stretch * budget_s)
            found = plan(self.call_ns, self.turn_ns, self.process_ns, timing_s)
            if isinstance(found, Plan):
                break
        return found


def measure_costs(bench: Bench, baseline: Program, window_ns: float, hidden_turns: int, null_calls: int) -> Costs:
    """One process of the baseline and one turn, carried out.

    `window_ns` is what was known of a timed window; it serves where the baseline fails here.
    """
    bench.prepare_for(baseline)
    bench.fresh_weights()
    landing = bench.draw_window()
    start = time.monotonic()
    party = bench.party(baseline)
    try:
        if party.problem is None:
            party.lay_out(bench.windowed)
        times = [window_ns]
        if party.problem is None:
            bench.land(landing)
            times = [call.wall_ns for call, _ in settle(party, landing.run_seed, _FIRST_CALL_SECONDS)]
        process_ns = (time.monotonic() - start) * 1e9
        call_ns = float(min(times[-_CALLS_THAT_COUNT:]))
        turn_ns, landing_ns = _turn(bench, party)
    finally:
        party.close()
    process_ns = (2 * process_ns + min(process_ns, _CANDIDATE_NS)) / 3
    before_ns = call_ns + landing_ns if precedes(window_ns) else 0.0
    turn_ns += 3 * before_ns
    hidden_ns = hidden_turns * (turn_ns / bench.windowed.chain + call_ns)
    return Costs(call_ns, turn_ns, process_ns, hidden_ns + null_calls * (landing_ns + before_ns))


def _turn(bench: Bench, party: Party) -> tuple[float, float]:
    """A turn's cost beside the three windows themselves (drawing, landing, reading, comparing), and that of landing."""
    start = time.monotonic_ns()
    landing = bench.draw_window()
    drawn = time.monotonic_ns()
    bench.land(landing)
    landing_ns = time.monotonic_ns() - drawn
    call_ns = party.call(landing.run_seed, _FIRST_CALL_SECONDS)[0].wall_ns if party.problem is None else 0
    called = time.monotonic_ns()
    outputs = [np.zeros(spec.shape, NUMPY_TYPES[spec.dtype]) for spec in bench.timed.outputs]
    checking = time.monotonic_ns()
    bench.budget.check(outputs, landing.draw or bench.oracle.evaluate(bench.timed, landing.inputs[0]))
    check_ns = time.monotonic_ns() - checking
    turn_ns = (drawn - start) + 3 * max(called - drawn - call_ns, 0) + check_ns * len(landing.inputs)
    return turn_ns, landing_ns
