"""How many processes and turns to spend, fixed before any ratio is seen; and what they can be expected to prove.

There is no optional stopping: looking at ratios and adding turns until they please is how A/A turns into a speedup.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from assay.referee.timing.decision import DEFAULT_LIMITS, Limits, estimate
from assay.referee.timing.pairing import Overhead, Reason, Refusal
from assay.referee.timing.samples import Side, Triples
from assay.referee.timing.statistics import standard_error
from assay.referee.timing.student import student_quantile

PROCESS_SD = 0.005
"""Assumed spread of one process's speed, as a share: the quiet end of what fresh processes showed (0.5-1.5 %)."""

TURN_SD = 0.03
"""Assumed spread of one call within a process, as a share, preempted calls left out: 1-2 % where caches hold all, 3-5 %
for 2 ms kernels that read memory."""

PREFERRED_ROUNDS = 8
"""Below this Student's t grows quickly: 2.36 for 8 rounds, 2.57 for 6, 4.30 for 3."""

MOST_ROUNDS, FEWEST_TURNS, MOST_TURNS = 30, 5, 60
"""At 30 x 60 the expected half-width is 0.3 %; beyond, the budget serves another candidate better."""

WARM_UP_TURNS = 1
"""Untimed turns of a fresh process, after it has settled."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Rounds of three fresh processes each, timed turns a round, warm-up turns before them, and the expected cost."""

    rounds: int
    turns: int
    warm_up_turns: int
    expected_s: float


def plan(
    call_ns_estimate: float,
    per_turn_cost_ns: float,
    process_cost_ns: float,
    budget_s: float,
    limits: Limits = DEFAULT_LIMITS,
) -> Plan | Refusal:
    """The rounds and turns that make the expected interval narrowest within the budget.

    A turn costs three calls (`call_ns_estimate` is the slower side's) and `per_turn_cost_ns` for everything else in it;
    a round costs three times `process_cost_ns` (a fresh process until it has settled) and
    its warm-up. At least `PREFERRED_ROUNDS` rounds if these fit with
    `FEWEST_TURNS`, never below the limits' least; refuses if not even those fit. Raises ValueError for costs that are
    negative or not finite.
    """
    costs = (call_ns_estimate, per_turn_cost_ns, process_cost_ns, budget_s)
    if not all(math.isfinite(cost) and cost >= 0 for cost in costs) or call_ns_estimate == 0:
        raise ValueError(f"costs must be finite and not negative, a call above zero: {costs}")
    turn_s = (3 * call_ns_estimate + per_turn_cost_ns) * 1e-9
    round_s = 3 * process_cost_ns * 1e-9 + WARM_UP_TURNS * turn_s
    fewest_turns = max(FEWEST_TURNS, limits.min_turns)
    shortest_s = round_s + fewest_turns * turn_s
    affordable = min(MOST_ROUNDS, int(budget_s / shortest_s * (1 + 1e-12)))
    if affordable < limits.min_rounds:
        return Refusal(
            Reason.BUDGET_TOO_SMALL,
            f"{limits.min_rounds} rounds of {fewest_turns} turns take {limits.min_rounds * shortest_s:.1f} s, "
            f"the budget is {budget_s:.1f} s",
        )
    least = max(limits.min_rounds, min(PREFERRED_ROUNDS, affordable))
    grid = [
        (rounds, min(MOST_TURNS, max(fewest_turns, int((budget_s / rounds - round_s) / turn_s))))
        for rounds in range(least, max(affordable, least) + 1)
    ]
    rounds, turns = min(grid, key=lambda choice: expected_half_width(choice[0], choice[1], limits.confidence))
    return Plan(rounds, turns, WARM_UP_TURNS, rounds * (round_s + turns * turn_s))


def expected_half_width(rounds: int, turns: int, confidence: float = 0.95) -> float:
    """Of the log-ratio's interval under the assumed spreads. A median's variance is pi / 2 times a mean's."""
    variance = 2 * PROCESS_SD**2 + math.pi / 2 * 2 * TURN_SD**2 / turns
    return student_quantile(0.5 + confidence / 2, rounds - 1) * math.sqrt(variance / rounds)


def detectable_speedup(
    triples: Triples, overhead: Overhead, limits: Limits = DEFAULT_LIMITS, power: float = 0.9
) -> float | Refusal:
    """The smallest true speedup (1.02 for 2 %) that a run like this one proves with probability `power`.

    From A/A alone: the candidate's column is ignored. A claim needs L > r; L lies below the true value by the
    half-width, and by luck in all but `power` of the runs. Validated against simulation in the tests.
    """
    same = estimate(triples, Side.BASELINE_AGAIN, overhead, limits)
    if isinstance(same, Refusal):
        return same
    fake = same.interval.fake_log
    if math.expm1(fake) > limits.resolution:
        return Refusal(Reason.TOO_NOISY, f"A/A allows {math.expm1(fake):.2%}, above the limit {limits.resolution:.0%}")
    half_width = (same.interval.upper - same.interval.lower) / 2
    luck = student_quantile(power, same.medians.size - 1) * standard_error(same.medians)
    return math.exp(fake + half_width + luck)
