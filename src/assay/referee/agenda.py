"""In which order a measurement's turns come: timed ones, and at secret places among them those that nobody times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from assay.core.config import Depth
from assay.referee.bench import Bench
from assay.referee.correctness import families
from assay.referee.protocol.layout import Layout

_FAMILY_TURNS = {Depth.FULL: 2, Depth.SCREEN: 1}
"""How often a measurement tries each family, in different processes."""
_SAME_INPUT_ROUNDS = {Depth.FULL: 6, Depth.SCREEN: 1}
"""Rounds with an input that comes twice, and one that comes again with a few elements changed."""


class Kind(Enum):
    """What a turn does."""

    TIMED = "timed"
    """All sides, on a fresh input of the task's own distribution."""
    FAMILY = "family"
    """The candidate alone counts, on another family."""
    REPEAT = "repeat"
    """The same input twice."""
    CHANGE = "change"
    """The same input again but for a few elements."""
    SHAPE = "shape"
    """Another shape, on some families."""
    SEAL = "seal"
    """From here on no new processes."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn; `warm_up` turns are timed like others and do not count."""

    kind: Kind
    family: str = families.OWN
    layout: Layout | None = None
    warm_up: bool = False


class Agenda:
    """The turns of all rounds of one measurement.

    Args:
        bench: for its families, hidden shapes, depth and secret.
        sealed_late: whether the candidate compiles, so that other shapes come before it is sealed.
    """

    def __init__(self, bench: Bench, *, sealed_late: bool) -> None:
        self._bench, self._sealed_late = bench, sealed_late
        self._families = [family for family in bench.families if family != families.OWN]
        depth = bench.depth
        self._family_turns, self._same_input_rounds = _FAMILY_TURNS[depth], _SAME_INPUT_ROUNDS[depth]

    @property
    def hidden_turns(self) -> int:
        """About how many turns of a whole measurement are not timed."""
        of_families = self._family_turns * len(self._families)
        return of_families + len(self._bench.hidden) + 4 * self._same_input_rounds

    def rounds(self, count: int, turns: int, warm_up: int) -> Iterator[list[Turn]]:
        """For each round its turns; `turns` of them are timed and count."""
        same_input = set(self._bench.secret.shuffled(count)[: self._same_input_rounds])
        for number in range(count):
            hidden = list(self._hidden(number, count))
            if number in same_input:
                hidden += [Turn(Kind.REPEAT), Turn(Kind.CHANGE)]
            yield self._round(turns, warm_up, hidden)

    def _hidden(self, number: int, count: int) -> Iterator[Turn]:
        """This round's share of families and shapes: over all rounds each shape comes once."""
        for index, family in enumerate(self._families * self._family_turns):
            if index % count == number:
                yield Turn(Kind.FAMILY, family)
        for index, layout in enumerate(self._bench.hidden):
            if index % count == number:
                yield Turn(Kind.SHAPE, families.OWN, layout)

    def _round(self, turns: int, warm_up: int, hidden: Sequence[Turn]) -> list[Turn]:
        """Warm-up first (a secret number of turns more than asked for), hidden turns at secret places after it."""
        secret = self._bench.secret
        agenda = [Turn(Kind.TIMED)] * turns
        early: list[Turn] = []
        for turn in hidden:
            if self._sealed_late and turn.kind is Kind.SHAPE:
                early.append(turn)  # a new shape is compiled anew, which a sealed worker could not
            else:
                agenda.insert(secret.below(len(agenda) + 1), turn)
        lead = [Turn(Kind.TIMED, warm_up=True)] * (warm_up + secret.below(2))
        seal = [Turn(Kind.SEAL)] if self._sealed_late else []
        return _levelled([*lead, *early, *seal, *agenda])


def _levelled(agenda: Sequence[Turn]) -> list[Turn]:
    """With a turn that does not count after other shapes, with which the candidate was called alone."""
    levelled: list[Turn] = []
    for turn in agenda:
        after_shape = bool(levelled) and levelled[-1].kind is Kind.SHAPE
        if after_shape and turn.kind is Kind.TIMED and not turn.warm_up:
            levelled.append(Turn(Kind.TIMED, warm_up=True))
        levelled.append(turn)
    return levelled
