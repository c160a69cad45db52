"""Several results together: Holm's step-down over finalists, and aggregates that show their failures.

Choosing the best of many measurements favours luck: the best of 1,000 candidates at a true 1.00x looks like 1.07x at
2 % noise. No correction repairs that figure. The finalists are therefore measured again, in fresh processes with new
seeds, only that second measurement is published, and Holm corrects for there being several finalists.
Limits: Holm holds under any dependence between finalists, but not for candidates left out after looking at these very
p-values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.referee.timing.decision import DEFAULT_LIMITS, Claim, Limits, Outcome


@dataclass(frozen=True, slots=True)
class Adjusted:
    """One finalist's p-value after Holm, and whether its claim stands."""

    p_value: float
    stands: bool


def holm(p_values: Sequence[float], alpha: float) -> tuple[Adjusted, ...]:
    """Holm's step-down (Holm 1979), in the order given: the chance of any false claim among all is at most `alpha`.

    Raises ValueError for a p-value outside [0, 1].
    """
    if any(not 0 <= p <= 1 for p in p_values):
        raise ValueError(f"p-values must lie in [0, 1]: {list(p_values)}")
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return tuple(Adjusted(p, p <= alpha) for p in adjusted)


def proved(claims: Mapping[str, Claim], limits: Limits = DEFAULT_LIMITS) -> dict[str, Adjusted]:
    """Which finalists stay FASTER once there are several; the family's level is one tail of the limits' confidence.

    A claim without a p-value counts as 1, so that finalists that did not decide still cost the others their share. For
    a single finalist the answer is that of `decide`.
    """
    p_values = [1.0 if claim.p_value is None else claim.p_value for claim in claims.values()]
    results = holm(p_values, (1 - limits.confidence) / 2)
    return {
        name: Adjusted(result.p_value, result.stands and claim.outcome is Outcome.FASTER)
        for (name, claim), result in zip(claims.items(), results, strict=True)
    }


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A geometric mean over what has a speedup, and the names of what has none; None if nothing has."""

    geometric_mean: float | None
    measured: int
    failures: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """A plain mapping for reports."""
        return {"geometric_mean": self.geometric_mean, "measured": self.measured, "failures": list(self.failures)}


def geometric_mean_with_failures(speedups: Mapping[str, float | None]) -> Aggregate:
    """By task; None is a failure (crash, wrong, undecided), which is listed and never counted as 1.0.

    Raises ValueError for a speedup that is not positive and finite.
    """
    values = {name: value for name, value in speedups.items() if value is not None}
    wrong = {name: value for name, value in values.items() if not (math.isfinite(value) and value > 0)}
    if wrong:
        raise ValueError(f"a speedup must be positive and finite; a failure is None: {wrong}")
    mean = math.exp(sum(math.log(value) for value in values.values()) / len(values)) if values else None
    return Aggregate(mean, len(values), tuple(name for name in speedups if speedups[name] is None))
