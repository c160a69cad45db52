"""When to stop thinking. Each rule looks at the same progress and gives its reason in words, or None to go on.

The budget is no rule here: the engine keeps to it whatever the rules say. Rules see full evaluations only, and a stop
is not a claim: the finalists still go to the referee.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Improvement:
    """A new leader: its score (log speedup), and what had been spent when it came."""

    score: float
    seconds: float
    ideas: int


@dataclass(frozen=True, slots=True)
class Progress:
    """What a rule may look at.

    `score` and `near_limit` are the leader's at full fidelity (None: none yet, or no floor known), `history` has the
    leaders so far, `seconds` and `ideas` (evaluated, without knockoffs and duplicates) what is spent.
    """

    score: float | None
    near_limit: float | None
    history: tuple[Improvement, ...]
    seconds: float
    ideas: int


class Stop(Protocol):
    """One reason to end a search."""

    def reason(self, progress: Progress) -> str | None:
        """Why to stop now, None to go on."""
        ...


@dataclass(frozen=True, slots=True)
class TargetReached:
    """Stops at a log speedup that suffices; a speedup of 2 is `math.log(2)`."""

    score: float

    def reason(self, progress: Progress) -> str | None:
        """See `Stop`."""
        if progress.score is None or progress.score < self.score:
            return None
        return f"the target is reached: {math.exp(progress.score):.3g}x of {math.exp(self.score):.3g}x wanted"


@dataclass(frozen=True, slots=True)
class NearFloor:
    """Stops once the leader's time is within `share` of the physical floor (0.8: the floor is 80 % of the time)."""

    share: float

    def reason(self, progress: Progress) -> str | None:
        """See `Stop`."""
        if progress.near_limit is None or progress.near_limit < self.share:
            return None
        return f"the physical floor is near: {progress.near_limit:.0%} of what this machine allows"


@dataclass(frozen=True, slots=True)
class Plateau:
    """Stops after `ideas` ideas in a row without a new leader."""

    ideas: int

    def reason(self, progress: Progress) -> str | None:
        """See `Stop`."""
        last = progress.history[-1].ideas if progress.history else 0
        if progress.ideas - last < self.ideas:
            return None
        return f"no improvement in the last {progress.ideas - last} ideas"


@dataclass(frozen=True, slots=True)
class ExpectedGain:
    """Stops when the next second is expected to raise the log speedup by less than `per_second`.

    Never within the first `least_ideas` ideas, where the history says nothing.
    """

    per_second: float
    least_ideas: int = 20

    def reason(self, progress: Progress) -> str | None:
        """See `Stop`."""
        gain = expected_gain_per_second(progress.history, progress.seconds)
        if gain is None or progress.ideas < self.least_ideas or gain >= self.per_second:
            return None
        return f"little to expect: {gain:.2g} log speedup a second, below {self.per_second:.2g}"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """The first rule of several that has a reason."""

    rules: tuple[Stop, ...]

    def reason(self, progress: Progress) -> str | None:
        """See `Stop`."""
        return next((words for rule in self.rules if (words := rule.reason(progress)) is not None), None)


def expected_gain_per_second(history: Sequence[Improvement], seconds: float) -> float | None:
    """Of the best score in the next second; None before anything was found or spent.

    Records of independent draws with an exponential tail grow by the same amount per doubling of effort (Renyi 1962),
    so the slope is sigma / t with sigma the gain of the last doubling over ln 2. The gain of the last doubling is the
    number of improvements since t / 2, plus one half (Jeffreys' prior), times the mean improvement so far: no luck
    lately makes the expectation small, not zero. Limits: a search that is about to find a new principle cannot know it.
    """
    if not history or seconds <= 0:
        return None
    scores = [0.0, *(each.score for each in history)]
    steps = [later - earlier for earlier, later in pairwise(scores) if later > earlier]
    recent = sum(each.seconds > seconds / 2 for each in history)
    mean_step = sum(steps) / len(steps) if steps else 0.0
    return (recent + 0.5) * mean_step / math.log(2) / seconds
