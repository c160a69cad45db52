"""The loop that spends test-time compute: what is promising first, knockoffs in their turn, else a new idea.

Every step is written to the ledger before the next begins, and the state is a function of the ledger, so a search that
was killed goes on where it stood. Random numbers depend on the seed and the step only.
Covered: same seed, proposers and verifier that draw from nothing else, same result; costs measured by a clock steer the
bandit, so two runs on a real machine may choose proposers differently, a resumed one never differs from its journal.
Limits: one evaluation at a time, since timings beside each other measure each other. The engine does not confine
anything; what runs a candidate does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from assay.core.sources import Candidate
from assay.errors import AssayError, Fault, InputError, InternalError
from assay.search.attempt import Fidelity, Idea
from assay.search.budget import Budget, Spent
from assay.search.events import Event, EventKind, Result, StopCause
from assay.search.ledger import Ledger, Record, without_secrets
from assay.search.novelty import can_knock_off, fingerprint, knockoff
from assay.search.overhead import Stopwatch
from assay.search.protocols import Ask, Kind, Problem, Proposer, Request, Strategy, Verifier
from assay.search.state import Settings, State
from assay.search.stopping import Stop

JOURNAL_VERSION = 1

DEFAULT_SETTINGS = Settings()

STRATEGY_STREAM, BANDIT_STREAM, PROPOSER_STREAM = range(3)
"""Separate random streams of one step, so that one that draws more does not shift the others."""

_ASKED = {
    Kind.FRESH: "asked for something new",
    Kind.REFINE: "asked for a better version of one",
    Kind.CROSS: "asked to cross two",
}
_EVALUATING = {
    Fidelity.BUILD: "building",
    Fidelity.SCREEN: "screening",
    Fidelity.SHORT: "timing briefly",
    Fidelity.FULL: "timing in full",
}


def think(
    problem: Problem,
    proposers: Sequence[Proposer],
    verifier: Verifier,
    strategy: Strategy,
    budget: Budget,
    stop: Stop,
    ledger: Ledger,
    seed: int,
    settings: Settings = DEFAULT_SETTINGS,
    clock: Callable[[], float] = time.perf_counter,
) -> Result:
    """Searches until a rule, the budget, the proposers or a person ends it; goes on where the ledger stands.

    Raises InputError for a ledger of another problem, seed, strategy or settings. See `thinking` for the events.
    """
    result = None
    for event in thinking(problem, proposers, verifier, strategy, budget, stop, ledger, seed, settings, clock):
        result = event.result
    if result is None:
        raise InternalError("a search ended without a result", next_step="report this with the journal")
    return result


def thinking(
    problem: Problem,
    proposers: Sequence[Proposer],
    verifier: Verifier,
    strategy: Strategy,
    budget: Budget,
    stop: Stop,
    ledger: Ledger,
    seed: int,
    settings: Settings = DEFAULT_SETTINGS,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Event]:
    """The same as a stream of events, FINISHED with the result last. The time between two events is the caller's.

    `strategy` is copied, never changed. `clock` returns seconds. An interrupt (KeyboardInterrupt) ends the stream with
    the result so far. Raises what the verifier raises, after which the ledger can be resumed.
    """
    names = [proposer.name for proposer in proposers]
    if not names or len(set(names)) != len(names):
        raise InputError("a search needs proposers with different names", value=", ".join(names) or "none")
    state = State(settings, budget, type(strategy).from_json(strategy.to_json()), names)
    roles = _Roles(problem, {proposer.name: proposer for proposer in proposers}, verifier, stop, seed)
    watch = Stopwatch(clock)
    for event in _Engine(state, roles, ledger, watch).run():
        with watch.paused():
            yield event


@dataclass(frozen=True, slots=True)
class _Roles:
    problem: Problem
    proposers: dict[str, Proposer]
    verifier: Verifier
    stop: Stop
    seed: int


class _Engine:
    def __init__(self, state: State, roles: _Roles, ledger: Ledger, watch: Stopwatch) -> None:
        self._state = state
        self._roles = roles
        self._ledger = ledger
        self._watch = watch

    def run(self) -> Iterator[Event]:
        """Every event, the last one with the result."""
        try:
            yield from self._begin()
            while (end := self._end()) is None and (end := (yield from self._step())) is None:
                pass
        except KeyboardInterrupt:
            end = StopCause.INTERRUPTED, "interrupted; the same ledger goes on from here"
        yield Event(EventKind.FINISHED, self._state.step, end[1], result=self._result(*end))

    def _begin(self) -> Iterator[Event]:
        start = {
            "kind": "start",
            "version": JOURNAL_VERSION,
            "problem": self._roles.problem.identity,
            "seed": self._roles.seed,
            "strategy": self._state.strategy.to_json(),
            "settings": self._state.settings.to_json(),
        }
        records = self._ledger.records
        if not records:
            self._commit(start)
            return
        for key, value in start.items():
            if records[0].get(key) != value:
                raise InputError(
                    f"this ledger belongs to another search: its {key} differs",
                    value=f"{records[0].get(key)!r}, not {value!r}"[:300],
                    next_step="choose another run folder, or resume with what the search was started with",
                )
        past = tuple(event for record in records for event in self._state.apply(record))
        best, words = self._state.best, f"{len(records)} records of an earlier run"
        if best is None:
            yield Event(EventKind.RESUMED, self._state.step, words, past=past)
        else:
            identity, proposer = best.idea.identity, best.idea.proposer
            yield Event(
                EventKind.RESUMED, self._state.step, words, identity, best.evaluation, proposer=proposer, past=past
            )

    def _end(self) -> tuple[StopCause, str] | None:
        if (words := self._roles.stop.reason(self._state.progress)) is not None:
            return StopCause.RULE, words
        if (words := self._state.account.exhausted()) is not None:
            return StopCause.BUDGET, words
        return None

    def _step(self) -> Generator[Event, None, tuple[StopCause, str] | None]:
        """One piece of work; returns why the search ends if there is none."""
        state = self._state
        # A quarter of all ideas at least between two, so that snapshots grow with the journal and not with its square.
        if state.since_snapshot >= max(state.settings.snapshot_every, state.answered // 4):
            self._commit({"kind": "strategy", "state": state.strategy.to_json()})
        if state.race.knockoff_due():
            yield from self._knock_off()
        elif (job := state.halving.next()) is not None:
            identity, fidelity = job
            yield from self._evaluate(state.idea(identity), fidelity, None)
        elif (chosen := self._next_ask()) is not None:
            yield from self._propose(*chosen)
        else:
            return StopCause.EXHAUSTED, "no proposer has anything more"
        return None

    def _next_ask(self) -> tuple[Ask, str] | None:
        """The strategy's ask or, where nobody has anything for it, one of the engine's; with who takes it."""
        names = self._roles.proposers
        asks = (self._state.strategy.ask(self._rng(STRATEGY_STREAM)), *self._state.own_asks())
        for ask in asks:
            name = self._state.bandit.choose(ask.kind, names, self._rng(BANDIT_STREAM))
            if name is not None:
                return ask, name
        return None

    def _propose(self, ask: Ask, name: str) -> Iterator[Event]:
        state = self._state
        parents = tuple(state.known(identity) for identity in ask.parents)
        yield self._started(_ASKED[ask.kind], None, name)
        rng = self._rng(PROPOSER_STREAM)
        request = Request(self._roles.problem, ask.kind, parents, state.best, rng, state.evaluated)
        ticket = state.account.reserve(Spent())
        (idea, words), seconds = self._watch.call(lambda: _proposal(self._roles.proposers[name], request))
        state.account.settle(ticket, Spent())
        record: dict[str, Any] = {
            "kind": "idea",
            "ask": ask.to_json(),
            "proposer": name,
            "idea": None if idea is None else _without_secrets(idea.to_json(), "note"),
            "fingerprint": None if idea is None else fingerprint(idea.candidate),
            "words": without_secrets(words),
            "seconds": seconds,
        }
        yield from self._commit(record)

    def _knock_off(self) -> Iterator[Event]:
        best = self._state.best
        if best is None:
            raise InternalError("a knockoff of nothing", next_step="report this with the journal")
        original = best.idea.identity
        clone: Candidate = knockoff(best.idea.candidate, self._state.race.false_wins.run + 1)
        idea = Idea(clone, "knockoff", (original,), "the same program in other bytes")
        yield from self._evaluate(idea, best.evaluation.fidelity, original)

    def _evaluate(self, idea: Idea, fidelity: Fidelity, knockoff_of: str | None) -> Iterator[Event]:
        words = _EVALUATING[fidelity] + (", a knockoff of the leader" if knockoff_of else "")
        yield self._started(f"{words}: {idea.note or idea.candidate.name}", idea.identity, idea.proposer)
        ticket = self._state.account.reserve(Spent(evaluations=1))
        evaluation, seconds = self._watch.call(lambda: self._roles.verifier.evaluate(idea, fidelity))
        self._state.account.settle(ticket, Spent())
        if (evaluation.identity, evaluation.fidelity) != (idea.identity, fidelity):
            raise InternalError(
                "a verifier answered about something else",
                value=f"{evaluation.identity[:16]} at {evaluation.fidelity.name}",
                rule=f"it was asked about {idea.identity[:16]} at {fidelity.name}",
                next_step="report this with the verifier's name",
            )
        yield from self._commit(
            {
                "kind": "evaluation",
                "knockoff_of": knockoff_of,
                "evaluation": _without_secrets(evaluation.to_json(), "words"),
                "wall_s": seconds,
            }
        )

    def _started(self, words: str, identity: str | None, proposer: str) -> Event:
        return Event(EventKind.STARTED, self._state.step, words, identity, proposer=proposer)

    def _commit(self, record: Record) -> list[Event]:
        """To the ledger first, then into the state: a kill in between changes nothing."""
        if record["kind"] in ("idea", "evaluation"):
            record = {**record, "overhead_s": self._watch.lap()}
        self._ledger.append(record)
        return self._state.apply(record)

    def _rng(self, stream: int) -> np.random.Generator:
        return np.random.default_rng([self._roles.seed, self._state.step, stream])

    def _result(self, cause: StopCause, words: str) -> Result:
        state = self._state
        spent = state.account.spent
        return Result(
            leader=state.leader,
            finalists=tuple(state.known(identity) for identity in state.halving.finalists(state.settings.finalists)),
            best=state.best,
            cause=cause,
            words=words,
            spent=spent,
            remaining_share=state.account.remaining_share(),
            history=tuple(state.history),
            false_wins=state.race.false_wins,
            ideas=state.answered,
            duplicates=state.duplicates,
            rates=state.bandit.rates(),
            overhead_s=state.overhead_s,
            overhead_share=state.overhead_s / spent.seconds if spent.seconds else None,
        )


def _proposal(proposer: Proposer, request: Request) -> tuple[Idea | None, str]:
    """An idea, or None and why. Only Assay's own defects go through: an endpoint that is down ends no search."""
    try:
        idea = proposer.propose(request)
    except AssayError as error:
        if error.fault is Fault.ASSAY:
            raise
        return None, str(error)
    if idea is not None and not can_knock_off(idea.candidate):
        return None, "a candidate without a C++ or Python file"
    return idea, ""


def _without_secrets(data: dict[str, Any], key: str) -> dict[str, Any]:
    return {**data, key: without_secrets(data[key])}
