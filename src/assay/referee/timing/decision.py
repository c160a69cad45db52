"""What one measurement proves about speed: FASTER, NOT_FASTER, or UNDECIDED with a reason; never a guess.

Let [L, U] be the interval of log(A/B), [l, u] that of log(A/A') from the same turns through the same code, and
resolution r = max(|l|, |u|): what this very run can fake. What is needed is r up to 10 %, then a multiple of r that
grows to 4 r at 20 %: there the machine disturbs so much that two kinds of code may suffer unlike; no A/A shows that.
  FASTER      L > needed. Also, the candidate was not dropped markedly more often than the baseline, and the total times
              confirm at least half of L (a kernel fast in most turns and very slow in the rest has a fine median).
  NOT_FASTER  U + needed < log(1 + worthwhile): whatever the run can fake, no speedup of `worthwhile` (2 %) is left.
              With worthwhile = 0 it says "slower". FASTER is asked first, so that a proved 1 % counts as faster.
  UNDECIDED   everything else, and always if too few pairs survive.
A plain "U < r" would call every candidate not faster in a noisy run; hence it is added, not compared.

Measured on synthetic A/A runs (docs/data/statistics_coverage.json, benchmarks/statistics_coverage.py):

  false FASTER at a true 1.00x: 0 of 90000 runs
    quiet                      0 of 9000
    spread processes           0 of 9000
    drift, autocorrelated      0 of 9000
    spiky                      0 of 9000
    bimodal processes          0 of 9000
    bimodal candidate          0 of 9000
    loaded                     0 of 9000
    half loaded                0 of 9000
    unsteady processes         0 of 9000
    loaded, no limit           0 of 9000
  false NOT_FASTER at a true 1.02x: 0 of 18000 runs
    quiet                      0 of 6000
    half loaded                0 of 6000
    loaded                     0 of 6000
  false FASTER where round medians are normal, sides alike
    K= 6                   71 of 2000000
    K= 8                   11 of 2000000
    K=10                    6 of 2000000
    K=20                    3 of 2000000
  smallest speedup proved in 90 % of runs
    quiet                    K= 6 n=10  3.25 %
    quiet                    K= 8 n=20  2.50 %
    quiet                    K=10 n=40  2.00 %
    quiet                    K=20 n=40  1.50 %
    spread processes         K= 6 n=10  8.00 %
    spread processes         K= 8 n=20  7.25 %
    spread processes         K=10 n=40  5.75 %
    spread processes         K=20 n=40  4.00 %

So a claim is false with a probability of about 4e-5 at the least number of rounds, and under 1e-5 from 8 on.
Limits: the figures assume rounds that are independent of one another and sides that suffer alike. They hold for one
candidate chosen before the measurement; `finalists` is for the best of several.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from assay.referee.timing.pairing import Drops, Overhead, Pairs, Reason, Refusal, pair
from assay.referee.timing.samples import Floats, Side, Triples
from assay.referee.timing.statistics import Interval, interval, p_value, round_medians


class Outcome(Enum):
    """What is proved about the candidate's speed."""

    FASTER = "faster"
    """The lower bound of the speedup exceeds what the run can fake."""
    NOT_FASTER = "not-faster"
    """No worthwhile speedup is compatible with the run."""
    UNDECIDED = "undecided"
    """Neither; a reason says what was missing."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The rules of a decision, fixed before any ratio is seen. Raises ValueError for rules that prove nothing.

    `min_rounds` of 6: the least for which a 95 % interval of a median exists at all (1 - 2 / 2**6 = 96.9 %).
    `min_turns` of 3 keeps a single spike from being a round's median; plans take at least 5, so that two may drop.
    `resolution` and `margin`: where the run can fake more than `resolution` (as a share), an effect must be a multiple
    of that, which reaches `margin` at twice the resolution. Both are choices: a 4x speedup in a run that can fake 25 %
    is no matter of doubt. The multiple grows steadily, for a verdict should not turn on whether 9.9 or 10.1 % came out.
    `worthwhile`: a choice, just above what 2 s a side could detect on the development machine (1-1.5 %).
    """

    confidence: float = 0.95
    resolution: float = 0.10
    margin: float = 4.0
    worthwhile: float = 0.02
    min_rounds: int = 6
    min_turns: int = 3

    def __post_init__(self) -> None:
        if not 0.5 < self.confidence < 1 or self.min_rounds < 2 or self.min_turns < 1:
            raise ValueError(f"limits prove nothing: {self}")
        if self.resolution <= 0 or self.worthwhile < 0 or self.margin < 1:
            raise ValueError(f"limits must not be negative: {self}")


DEFAULT_LIMITS = Limits()

UNEVEN_SHARE = 0.10
"""Turns lost to the candidate's preemption alone, beyond those lost to the baseline's alone, that are tolerated."""

UNEVEN_CHANCE = 0.01
"""... unless a fair coin would have split the one-sided drops so with at least this probability."""

TOTALS_SHARE = 0.5
"""How much of the proved log-ratio the total times must confirm. Not all of it: interruptions of a fixed length are a
larger share of the shorter side, so that an honest 10x has a total ratio of 7x under 5 % of them."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer, and every figure that it rests on; a figure that could not be had is None, and `reason` says why.

    `speedup` is the interval of A/B, `same` that of A/A', both widened by the overhead's uncertainty. `resolution` is
    as a share (0.01 for 1 %). `total_ratio` compares summed times. `p_value` is one-sided, against a speedup of at
    most what is needed; None too where a reason forbids to claim FASTER.
    """

    outcome: Outcome
    reason: Reason | None
    message: str
    speedup: Interval | None = None
    same: Interval | None = None
    resolution: float | None = None
    p_value: float | None = None
    total_ratio: float | None = None
    drops: Drops | None = None
    same_drops: Drops | None = None

    def __post_init__(self) -> None:
        if (self.outcome is Outcome.UNDECIDED) != (self.reason is not None):
            raise ValueError(f"{self.outcome} with reason {self.reason}: exactly the undecided have a reason")

    def to_json(self) -> dict[str, Any]:
        """A plain mapping for certificates."""
        parts = {"speedup": self.speedup, "same": self.same, "drops": self.drops, "same_drops": self.same_drops}
        return {
            "outcome": self.outcome.value,
            "reason": self.reason.value if self.reason else None,
            "message": self.message,
            "resolution": self.resolution,
            "p_value": self.p_value,
            "total_ratio": self.total_ratio,
            **{name: part.to_json() if part else None for name, part in parts.items()},
        }


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """One pair of sides: float[K] round medians of the log-ratio, their interval, and the log-ratio of total times."""

    medians: Floats
    interval: Interval
    total_log: float
    pairs: Pairs


def decide(triples: Triples, overhead: Overhead, limits: Limits = DEFAULT_LIMITS) -> Claim:
    """Judge the candidate's speed from one measurement. Deterministic; the order of turns does not matter."""
    same = estimate(triples, Side.BASELINE_AGAIN, overhead, limits)
    if isinstance(same, Refusal):
        return Claim(Outcome.UNDECIDED, same.reason, f"A/A: {same.message}")
    speed = estimate(triples, Side.CANDIDATE, overhead, limits)
    if isinstance(speed, Refusal):
        return Claim(Outcome.UNDECIDED, speed.reason, speed.message)
    outcome, reason, message = _outcome(speed, same, limits)
    barred = reason in (Reason.TOO_NOISY, Reason.UNEVEN_DROPS, Reason.TOTALS_DISAGREE)
    threshold = needed_log(same.interval.fake_log, limits) + speed.pairs.overhead_log
    return Claim(
        outcome,
        reason,
        message,
        speedup=speed.interval,
        same=same.interval,
        resolution=math.expm1(same.interval.fake_log),
        p_value=None if barred else p_value(speed.medians, threshold),
        total_ratio=math.exp(speed.total_log),
        drops=speed.pairs.drops,
        same_drops=same.pairs.drops,
    )


def estimate(triples: Triples, second: Side, overhead: Overhead, limits: Limits = DEFAULT_LIMITS) -> Estimate | Refusal:
    """The baseline against another side; refuses when the overhead is too large or too few rounds survive."""
    pairs = pair(triples, second, overhead)
    if isinstance(pairs, Refusal):
        return pairs
    medians = round_medians(pairs.round, pairs.log_ratio, limits.min_turns)
    if medians.size < limits.min_rounds:
        return Refusal(
            Reason.TOO_FEW_PAIRS,
            f"{medians.size} rounds keep {limits.min_turns} turns or more, {limits.min_rounds} are needed; "
            f"{pairs.drops.turns - pairs.drops.kept} of {pairs.drops.turns} pairs were dropped: use a quieter machine "
            f"or a larger budget",
        )
    # Summed within a round first, so that a round with more surviving turns weighs no more than another.
    place = np.unique(pairs.round, return_inverse=True)[1]
    totals = np.log(np.bincount(place, pairs.first_ns) / np.bincount(place, pairs.second_ns))
    reach = interval(medians, limits.confidence).widened(pairs.overhead_log)
    return Estimate(medians, reach, float(totals.mean()), pairs)


def needed_log(fake_log: float, limits: Limits) -> float:
    """The log-ratio that a claim has to exceed: what the run can fake, or a multiple of it in a noisy run."""
    beyond = (math.expm1(fake_log) - limits.resolution) / limits.resolution
    return fake_log * (1 + (limits.margin - 1) * min(max(beyond, 0.0), 1.0))


def _outcome(speed: Estimate, same: Estimate, limits: Limits) -> tuple[Outcome, Reason | None, str]:
    """The decision proper; the rule is in the module's docstring."""
    fake = same.interval.fake_log
    needed = needed_log(fake, limits)
    shown = f"speedup {speed.interval.ratio:.3f}x [{speed.interval.lower_ratio:.3f}, {speed.interval.upper_ratio:.3f}]"
    faked = f"the same code against itself allows {math.expm1(fake):.2%}"
    if speed.interval.lower > needed:
        if uneven(speed.pairs.drops):
            return Outcome.UNDECIDED, Reason.UNEVEN_DROPS, f"{shown}, but drops are uneven: {speed.pairs.drops}"
        if speed.total_log < TOTALS_SHARE * speed.interval.lower:
            total = math.exp(speed.total_log)
            return Outcome.UNDECIDED, Reason.TOTALS_DISAGREE, f"{shown}, but in total time {total:.3f}x"
        return Outcome.FASTER, None, f"{shown}; {faked}"
    if speed.interval.upper + needed < math.log1p(limits.worthwhile):
        return Outcome.NOT_FASTER, None, f"{shown}; {faked}; no speedup of {limits.worthwhile:.0%} is left"
    if needed > fake:
        rule = f"above {limits.resolution:.0%} an effect must be far above it, here {math.exp(needed):.3f}x"
        return Outcome.UNDECIDED, Reason.TOO_NOISY, f"{shown}; {faked}, and {rule}"
    return Outcome.UNDECIDED, Reason.WITHIN_NOISE, f"{shown}; {faked}"


def uneven(drops: Drops) -> bool:
    """Whether the second side alone was preempted so often that dropping its slow turns could favour it.

    A candidate can yield when it notices a slow run; the pair would then be dropped in its favour.
    """
    excess, one_sided = drops.second_only - drops.first_only, drops.second_only + drops.first_only
    if excess <= UNEVEN_SHARE * drops.turns:
        return False
    at_least = sum(math.comb(one_sided, k) for k in range(drops.second_only, one_sided + 1))
    return bool(at_least < UNEVEN_CHANCE * 2**one_sided)
