"""What a running search tells: one event at a time, and a result at the end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from assay.search.attempt import Evaluation
from assay.search.budget import Spent
from assay.search.protocols import Known
from assay.search.race import FalseWins
from assay.search.stopping import Improvement


class EventKind(Enum):
    """What happened."""

    RESUMED = "resumed"
    """The state of a journal was rebuilt."""
    STARTED = "started"
    """A proposer is asked, or an evaluation begins: what is going on until the next event."""
    PROPOSED = "proposed"
    """A new idea."""
    DUPLICATE = "duplicate"
    """A proposer came up with a known program; it is not evaluated again."""
    NOTHING = "nothing"
    """A proposer had nothing for this request."""
    EVALUATED = "evaluated"
    """An idea was evaluated at some fidelity."""
    KNOCKOFF = "knockoff"
    """A knockoff of the leader was evaluated."""
    LEADER = "leader"
    """Another idea leads."""
    FINISHED = "finished"
    """The last event; it carries the result."""


class StopCause(Enum):
    """Why a search ended."""

    RULE = "rule"
    """A stopping rule had a reason."""
    BUDGET = "budget"
    """A limit of the budget was reached."""
    EXHAUSTED = "exhausted"
    """No proposer has anything more."""
    INTERRUPTED = "interrupted"
    """Somebody interrupted; the same journal goes on later."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a search found.

    `leader` is the best at full fidelity that beat its predecessor and the predecessor's knockoffs; None if nothing
    passed in full. `finalists` are the best full evaluations by score, for the referee to judge again. `best` is the
    best known at any fidelity. `rates` is each proposer's improvement of the log speedup per second as last remembered.
    `overhead_s` is the engine's own time, `overhead_share` its share of all time; None if no time passed.
    """

    leader: Known | None
    finalists: tuple[Known, ...]
    best: Known | None
    cause: StopCause
    words: str
    spent: Spent
    remaining_share: float | None
    history: tuple[Improvement, ...]
    false_wins: FalseWins
    ideas: int
    duplicates: int
    rates: dict[str, float | None]
    overhead_s: float
    overhead_share: float | None


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `step` counts journal entries of ideas and evaluations; what does not apply is None.

    `proposer` is who is asked, or whose idea it is about. RESUMED comes with the best so far, and with the journal's
    events in `past`.
    """

    kind: EventKind
    step: int
    words: str
    identity: str | None = None
    evaluation: Evaluation | None = None
    result: Result | None = None
    proposer: str | None = None
    past: tuple[Event, ...] = ()
