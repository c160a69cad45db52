"""Who leads, and whether a challenger really beat the leader or only noise.

A knockoff is a byte-different clone of the leader that does exactly the same. Whatever score it gets above the leader's
is luck, so a challenger takes over only above the leader and its best knockoff, after at least one has run; and where
both scores have a standard error, only by `_DEVIATIONS` of their difference's.
The false-win rate, the share of knockoffs that would have taken over by that very rule, says what the rule is worth. A
leader's first knockoff cannot (nothing takes over before it has run). Without errors the second wins one time in three
by pure noise, the m-th one time in m + 1, less often the luckier the leader was; with errors that are right, one in two
hundred at most.
Limits: a bar against noise, no proof of speed; that is the referee's, on fresh measurements.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from assay.search.attempt import Evaluation, Fidelity

_DEVIATIONS = 2.58
"""Of a normal law's one-sided 0.5 %."""


@dataclass(frozen=True, slots=True)
class FalseWins:
    """How the knockoffs fared.

    `run` of them ran; of the `tried`, which passed and were not their leader's first, `won` would have taken over;
    `broken` did not pass: above 0, the verifier does not give the same answer about the same program.
    """

    run: int = 0
    tried: int = 0
    won: int = 0
    broken: int = 0

    @property
    def rate(self) -> float | None:
        """Share of those tried that would have taken over; None if none was tried."""
        return self.won / self.tried if self.tried else None


@dataclass(slots=True)
class _Runner:
    """One idea's standing at its highest fidelity, with its knockoffs' scores at that fidelity."""

    evaluation: Evaluation
    knockoffs: list[float] = field(default_factory=list)
    knockoffs_run: int = 0

    @property
    def score(self) -> float:
        assert self.evaluation.score is not None, "only scored evaluations enter"
        return self.evaluation.score

    def is_beaten_by(self, other: Evaluation) -> bool:
        """Whether another evaluation is above this idea and its knockoffs by more than both errors make likely."""
        errors = [each.error for each in (self.evaluation, other) if each.error is not None]
        margin = _DEVIATIONS * math.hypot(*errors) if len(errors) == 2 else 0.0
        return other.score is not None and other.score > max([self.score, *self.knockoffs]) + margin


class Race:
    """Standings by identity. Every `knockoff_every`-th evaluation at the leader's fidelity is a knockoff of it.

    Counting at that fidelity, and not all evaluations, keeps knockoffs to one share of the time: a full timing costs
    some hundred screens. Raises ValueError for `knockoff_every` below 2.
    """

    def __init__(self, knockoff_every: int) -> None:
        if knockoff_every < 2:
            raise ValueError(f"every {knockoff_every}-th evaluation a knockoff leaves no room for challengers")
        self.leader: str | None = None
        self.false_wins = FalseWins()
        self._every = knockoff_every
        self._since_knockoff = 0
        self._runners: dict[str, _Runner] = {}

    @property
    def evaluation(self) -> Evaluation | None:
        """The leader's."""
        return None if self.leader is None else self._runners[self.leader].evaluation

    def knockoff_due(self) -> bool:
        """Whether a knockoff of the leader comes next: its turn has come, or a challenger waits for the first one."""
        if self.leader is None:
            return False
        leader = self._runners[self.leader]
        challenged = leader.knockoffs_run == 0 and self._best_rival(leader) is not None
        return challenged or self._since_knockoff >= self._every - 1

    def record(self, evaluation: Evaluation) -> bool:
        """An idea's evaluation; whether another idea leads now."""
        before = self.leader
        if evaluation.score is not None:
            self._runners[evaluation.identity] = _Runner(evaluation)
        elif not evaluation.passed:
            self._runners.pop(evaluation.identity, None)
            self.leader = None if self.leader == evaluation.identity else self.leader
        if evaluation.fidelity is self._fidelity():
            self._since_knockoff += 1
        self._settle()
        return self.leader != before and self.leader is not None

    def record_knockoff(self, of: str, evaluation: Evaluation) -> bool:
        """A knockoff's evaluation; whether a challenger that waited for it leads now."""
        self._since_knockoff = 0
        runner, wins = self._runners[of], self.false_wins
        could_win = runner.knockoffs_run > 0 and evaluation.score is not None
        won = could_win and runner.is_beaten_by(evaluation)
        self.false_wins = FalseWins(
            wins.run + 1, wins.tried + could_win, wins.won + won, wins.broken + (evaluation.score is None)
        )
        runner.knockoffs_run += 1
        if evaluation.score is not None:
            runner.knockoffs.append(evaluation.score)
        before = self.leader
        self._settle()
        return self.leader != before

    def _fidelity(self) -> Fidelity | None:
        return max((runner.evaluation.fidelity for runner in self._runners.values()), default=None)

    def _best_rival(self, leader: _Runner | None) -> str | None:
        """The best other idea of the highest fidelity that beats the leader, where there is one."""
        fidelity = self._fidelity()
        rivals = {
            identity: runner.score
            for identity, runner in self._runners.items()
            if runner is not leader
            and runner.evaluation.fidelity is fidelity
            and (leader is None or leader.is_beaten_by(runner.evaluation))
        }
        return max(rivals, key=lambda identity: rivals[identity], default=None)

    def _settle(self) -> None:
        """Only the highest fidelity reached counts: a leader that others have been seen better than has to catch up."""
        leader = None if self.leader is None else self._runners[self.leader]
        if leader is None or leader.evaluation.fidelity is not self._fidelity():
            self.leader = self._best_rival(None)
        elif leader.knockoffs_run and (winner := self._best_rival(leader)) is not None:
            self.leader = winner
