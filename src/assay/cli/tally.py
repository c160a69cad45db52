"""What a running search has brought so far, kept from its events: numbers and words, no drawing."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from assay.search import Event, EventKind, Fidelity

_RECENT = 4
_SEEN = {Fidelity.SCREEN: "screened", Fidelity.SHORT: "briefly", Fidelity.FULL: "in full"}


@dataclass(slots=True)
class Brought:
    """One proposer's: how many ideas, how many of these were right and how many failed, the best log speedup."""

    ideas: int = 0
    right: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    best: float | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer of the referee: a speedup or None, who proposed, and a line of words."""

    speedup: float | None
    proposer: str
    words: str


class Tally:
    """See the module. `best` is the leader's speedup over eager, which nobody has confirmed."""

    def __init__(self) -> None:
        self.proposers: dict[str, Brought] = {}
        self.recent: deque[Seen] = deque(maxlen=_RECENT)
        self.best: float | None = None
        self.best_words = self.now = ""
        self.evaluations = 0
        self._notes: dict[str, str] = {}
        self._leader: str | None = None

    def __call__(self, event: Event) -> None:
        """Take one event in, and what came before it where a search goes on."""
        for earlier in event.past:
            self(earlier)
        if event.kind is EventKind.STARTED:
            self.now = f"{event.proposer}: {event.words}"
        elif event.kind is EventKind.PROPOSED and event.identity is not None:
            self._notes[event.identity] = event.words
            self._of(event).ideas += 1
        elif event.kind is EventKind.NOTHING:
            self._of(event)
        elif event.kind is EventKind.EVALUATED:
            self._evaluated(event)
        elif event.kind in (EventKind.LEADER, EventKind.RESUMED) and event.evaluation is not None:
            score = event.evaluation.score
            self._leader, self.best = event.identity, None if score is None else math.exp(score)
            self.best_words = f"{event.proposer}: {self._notes.get(event.identity or '', event.words)}"

    def _of(self, event: Event) -> Brought:
        return self.proposers.setdefault(event.proposer or "unknown", Brought())

    def _evaluated(self, event: Event) -> None:
        evaluation = event.evaluation
        if evaluation is None:
            return
        self.evaluations += 1
        brought, note = self._of(event), self._notes.get(evaluation.identity, "")
        proposer = event.proposer or "unknown"
        if not evaluation.passed:
            brought.failed.add(evaluation.identity)
            brought.right.discard(evaluation.identity)
            self.recent.append(Seen(None, proposer, f"{evaluation.words} ({note})"))
        elif evaluation.score is not None:
            brought.right.add(evaluation.identity)
            if evaluation.identity == self._leader:  # no other leads, but it was seen more closely
                self.best = math.exp(evaluation.score)
            brought.best = max(evaluation.score, -math.inf if brought.best is None else brought.best)
            words = f"{_SEEN.get(evaluation.fidelity, '')}: {note}"
            self.recent.append(Seen(math.exp(evaluation.score), proposer, words))
