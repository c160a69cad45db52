"""The generator as a proposer: schedules of a task's graph, a few that are usually good, then their neighbours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from assay.core.sources import Candidate
from assay.engineer.codegen.program import Unsupported
from assay.engineer.proposers.generators import CPP, AnySchedule, Generator, text_of
from assay.errors import CandidateError
from assay.search import Idea, Kind, Request

_TRIES = 40
"""Draws of a neighbour until one is new."""


class Codegen:
    """Proposes schedules; `write` makes candidates of them.

    Its memory of what it has proposed is only a saving: an idea comes back as a duplicate otherwise. What others have
    proposed, and what an earlier run did, it sees in the request.
    """

    def __init__(
        self, write: Callable[[AnySchedule], Candidate], generator: Generator = CPP, name: str = "codegen"
    ) -> None:
        self._write, self._generator, self.name = write, generator, name
        self._proposed: set[AnySchedule] = set()
        self._texts: set[str] = set()

    def propose(self, request: Request) -> Idea | None:
        """A schedule that is new in its text too: some choices do not matter to some graphs."""
        self._texts.update(text_of(known.idea.candidate) for known in request.evaluated)
        for _ in range(_TRIES):
            found = self._next(request)
            if found is None:
                return None
            schedule, parents = found
            self._proposed.add(schedule)
            try:
                candidate = self._write(schedule)
            except (Unsupported, CandidateError):  # unfused, for example, a plan may have too many launches
                continue
            if (text := text_of(candidate)) not in self._texts:
                self._texts.add(text)
                return Idea(candidate, self.name, parents, self._generator.words(schedule))
        return None

    def _next(self, request: Request) -> tuple[AnySchedule, tuple[str, ...]] | None:
        if request.kind is Kind.FRESH:
            return next(((start, ()) for start in self._generator.starts if start not in self._proposed), None)
        known = [(parent.idea.identity, schedule) for parent in request.parents
                 if (schedule := self._generator.schedule_of(parent.idea.candidate)) is not None]  # fmt: skip
        if not known:
            return None
        for _ in range(_TRIES):
            generator, rng = self._generator, request.rng
            made = _crossed(generator, known, rng) if len(known) > 1 else _moved(generator, known[0][1], rng)
            if made not in self._proposed:
                return made, tuple(identity for identity, _ in known)
        return None


def _moved(generator: Generator, schedule: AnySchedule, rng: np.random.Generator) -> AnySchedule:
    """Another value in one or two places."""
    for name in rng.choice(list(generator.choices), size=int(rng.integers(1, 3)), replace=False):
        others = [value for value in generator.choices[str(name)] if value != getattr(schedule, str(name))]
        schedule = replace(schedule, **{str(name): others[int(rng.integers(len(others)))]})
    return schedule


def _crossed(generator: Generator, parents: list[tuple[str, AnySchedule]], rng: np.random.Generator) -> AnySchedule:
    """Each choice from either parent."""
    picks = {name: getattr(parents[int(rng.integers(len(parents)))][1], name) for name in generator.choices}
    return generator.make(picks)
