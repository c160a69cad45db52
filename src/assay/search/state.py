"""A search's whole state, as a function of its journal.

Live and on resume every record takes the same way, `State.apply`, so that a resumed search cannot differ from one that
was never cut. Nothing here calls a proposer or a verifier, looks at a clock or draws a random number.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from assay.errors import InternalError
from assay.search.attempt import Evaluation, Fidelity, Idea
from assay.search.bandit import DUPLICATE, NOTHING, Bandit
from assay.search.budget import Account, Budget, Spent
from assay.search.events import Event, EventKind
from assay.search.halving import CASCADE, Halving, Rung
from assay.search.ledger import Record
from assay.search.protocols import Ask, Kind, Known, Strategy
from assay.search.race import Race
from assay.search.stopping import Improvement, Progress


@dataclass(frozen=True, slots=True)
class Settings:
    """How the engine works; a journal resumes under the same settings only.

    `knockoff_every`: one evaluation in so many at the leader's fidelity is a knockoff. `snapshot_every`: the fewest
    ideas between two strategy states in the journal. `finalists`: how many a result names.
    """

    rungs: tuple[Rung, ...] = CASCADE
    knockoff_every: int = 4
    snapshot_every: int = 16
    finalists: int = 5

    def to_json(self) -> dict[str, Any]:
        """A plain mapping for the ledger."""
        return {
            "rungs": [rung.to_json() for rung in self.rungs],
            "knockoff_every": self.knockoff_every,
            "snapshot_every": self.snapshot_every,
            "finalists": self.finalists,
        }


class State:
    """See the module."""

    def __init__(self, settings: Settings, budget: Budget, strategy: Strategy, proposers: Iterable[str]) -> None:
        self.settings = settings
        self.strategy = strategy
        self.account = Account(budget)
        self.halving = Halving(settings.rungs)
        self.race = Race(settings.knockoff_every)
        self.bandit = Bandit(proposers)
        self.history: list[Improvement] = []
        self.step = self.duplicates = self.answered = self.since_snapshot = 0
        self.overhead_s = 0.0
        self._ideas: dict[str, Idea] = {}
        self._asks: dict[str, Ask] = {}
        self._known: dict[str, Known] = {}
        self._fingerprints: dict[str, str] = {}
        self._leader_score = 0.0  # log speedup of the baseline over itself

    @property
    def best(self) -> Known | None:
        """The leader, at whatever fidelity it leads."""
        return None if self.race.leader is None else self.known(self.race.leader)

    @property
    def leader(self) -> Known | None:
        """The leader, if it leads in full."""
        best = self.best
        return best if best is not None and best.evaluation.fidelity is Fidelity.FULL else None

    @property
    def progress(self) -> Progress:
        """What stopping rules look at."""
        evaluation = None if self.leader is None else self.leader.evaluation
        return Progress(
            score=None if evaluation is None else evaluation.score,
            near_limit=None if evaluation is None else evaluation.near_limit,
            history=tuple(self.history),
            seconds=self.account.spent.seconds,
            ideas=self.answered,
        )

    def known(self, identity: str) -> Known:
        """An idea that has an evaluation. Raises InternalError for any other."""
        if identity not in self._known:
            raise InternalError(
                "a strategy asked for something that was never evaluated",
                value=identity[:16],
                rule="parents are identities that the strategy was told",
                next_step="report this with the journal",
            )
        return self._known[identity]

    @property
    def evaluated(self) -> tuple[Known, ...]:
        """Every idea that has an evaluation, in the order of their first ones."""
        return tuple(self._known.values())

    def idea(self, identity: str) -> Idea:
        """An idea, evaluated or not."""
        return self._ideas[identity]

    def own_asks(self) -> tuple[Ask, ...]:
        """What can be asked when nobody has anything for the strategy's ask, from the best that is known."""
        asks = [Ask(Kind.FRESH)]
        if (leader := self.race.leader) is not None:
            asks.append(Ask(Kind.REFINE, (leader,)))
            scores = {
                name: score
                for name, known in self._known.items()
                if (score := known.evaluation.score) is not None and name != leader
            }
            if scores:
                asks.append(Ask(Kind.CROSS, (leader, max(scores, key=lambda name: scores[name]))))
        return tuple(asks)

    def apply(self, record: Record) -> list[Event]:
        """Takes one record in; what it means, as events. Raises InternalError for an unknown kind of record."""
        match record["kind"]:
            case "start":
                return []
            case "strategy":
                self.strategy = type(self.strategy).from_json(record["state"])
                self.since_snapshot = 0
                return []
            case "idea":
                return self._apply_idea(record)
            case "evaluation":
                return self._apply_evaluation(record)
        raise InternalError("a journal of a newer Assay", value=str(record["kind"]), next_step="update Assay")

    def _apply_idea(self, record: Record) -> list[Event]:
        ask, proposer = Ask.from_json(record["ask"]), str(record["proposer"])
        idea = None if record["idea"] is None else Idea.from_json(record["idea"])
        self._spend(record, Spent(seconds=record["seconds"]))
        self.bandit.charge(proposer, record["seconds"])
        if idea is None:
            self.bandit.disappoint(proposer, ask.kind, NOTHING)
            self.strategy.tell(ask, None, None)
            words = f"{proposer}: {record['words'] or 'nothing more'}"
            return [self._event(EventKind.NOTHING, words, proposer=proposer)]
        self.account.charge(Spent(tokens=idea.tokens, money=idea.money))
        original = self._fingerprints.get(record["fingerprint"])
        if original is not None:
            self.duplicates += 1
            self.bandit.disappoint(proposer, ask.kind, DUPLICATE)
            self.strategy.tell(ask, None, None)
            words = f"{proposer} wrote a known program again"
            return [self._event(EventKind.DUPLICATE, words, original, proposer=proposer)]
        self._fingerprints[record["fingerprint"]] = idea.identity
        self._ideas[idea.identity], self._asks[idea.identity] = idea, ask
        self.halving.enter(idea.identity)
        return [self._event(EventKind.PROPOSED, idea.note or idea.candidate.name, idea.identity)]

    def _apply_evaluation(self, record: Record) -> list[Event]:
        evaluation = Evaluation.from_json(record["evaluation"])
        seconds = max(evaluation.seconds, record["wall_s"])
        self._spend(record, Spent(seconds, 1, evaluation.tokens, evaluation.money))
        original = record["knockoff_of"]
        if original is not None:
            won = self.race.false_wins.won
            changed = self.race.record_knockoff(original, evaluation)
            words = "a knockoff beat its original: noise" if self.race.false_wins.won > won else evaluation.words
            return [self._event(EventKind.KNOCKOFF, words, original, evaluation), *self._new_leader(changed)]
        self._take_answer(evaluation, seconds)
        changed = self.race.record(evaluation)
        event = self._event(EventKind.EVALUATED, evaluation.words, evaluation.identity, evaluation)
        return [event, *self._new_leader(changed)]

    def _take_answer(self, evaluation: Evaluation, seconds: float) -> None:
        """Tells everybody who waits for it; a build that passed is no answer yet."""
        identity = evaluation.identity
        idea, ask = self._ideas[identity], self._asks[identity]
        first = (before := self._known.get(identity)) is None or before.evaluation.score is None
        self._known[identity] = Known(idea, evaluation)
        self.halving.record(evaluation)
        self.bandit.charge(idea.proposer, seconds)
        if evaluation.passed and evaluation.score is None:
            return
        self.strategy.tell(ask, identity, evaluation.score)
        if first:
            self.answered += 1
            self.since_snapshot += 1
            self.bandit.conclude(idea.proposer, ask.kind)

    def _new_leader(self, changed: bool) -> list[Event]:
        """Credit, history and an event, where another idea leads or the leader has reached the full fidelity."""
        best = self.best
        if best is None or best.evaluation.score is None:
            self._leader_score = 0.0
            return []
        score = best.evaluation.score
        events = []
        if changed:
            self.bandit.credit(best.idea.proposer, score - self._leader_score)
            events = [self._event(EventKind.LEADER, best.idea.note, best.idea.identity, best.evaluation)]
        self._leader_score = score
        if self.leader is not None and (not self.history or self.history[-1].score != score):
            self.history.append(Improvement(score, self.account.spent.seconds, self.answered))
        return events

    def _spend(self, record: Record, spent: Spent) -> None:
        self.step += 1
        self.overhead_s += record["overhead_s"]
        self.account.charge(spent + Spent(seconds=record["overhead_s"]))

    def _event(
        self,
        kind: EventKind,
        words: str,
        identity: str | None = None,
        evaluation: Evaluation | None = None,
        proposer: str | None = None,
    ) -> Event:
        """About an idea, whose proposer is added, or about a proposer alone."""
        if proposer is None and identity is not None:
            proposer = self._ideas[identity].proposer
        return Event(kind, self.step, words, identity, evaluation, proposer=proposer)
