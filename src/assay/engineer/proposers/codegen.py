"""The generator as a proposer: schedules of a task's graph, a few that are usually good, then their neighbours."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from assay.core.sources import Candidate
from assay.engineer.codegen.generate import HEAD, generate
from assay.engineer.codegen.program import Unsupported
from assay.engineer.codegen.schedule import CHOICES, Schedule
from assay.engineer.graph import Graph
from assay.errors import InputError
from assay.search import Idea, Kind, Request

STARTS = (
    Schedule(),
    Schedule(winograd=4),
    Schedule(stream=True),
    Schedule(loose=False),
    Schedule(keep=False),
    Schedule(lanes=256, block=4096),
    Schedule(apart=True),
)
"""Tried first: the default, and one step into each direction that has paid off on some task."""
_TRIES = 40
"""Draws of a neighbour until one is new; there are some 27,600 schedules in all."""


class Codegen:
    """Proposes schedules; `write` makes candidates of them.

    Its memory of what it has proposed is only a saving: an idea comes back as a duplicate otherwise. What others have
    proposed, and what an earlier run did, it sees in the request.
    """

    name = "codegen"

    def __init__(self, write: Callable[[Schedule], Candidate]) -> None:
        self._write = write
        self._proposed: set[Schedule] = set()
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
            candidate = self._write(schedule)
            if (text := text_of(candidate)) not in self._texts:
                self._texts.add(text)
                return Idea(candidate, self.name, parents, schedule_words(schedule))
        return None

    def _next(self, request: Request) -> tuple[Schedule, tuple[str, ...]] | None:
        if request.kind is Kind.FRESH:
            return next(((start, ()) for start in STARTS if start not in self._proposed), None)
        known = [(parent.idea.identity, schedule) for parent in request.parents
                 if (schedule := schedule_of(parent.idea.candidate)) is not None]  # fmt: skip
        if not known:
            return None
        for _ in range(_TRIES):
            made = _crossed(known, request.rng) if len(known) > 1 else _moved(known[0][1], request.rng)
            if made not in self._proposed:
                return made, tuple(identity for identity, _ in known)
        return None


def writer_for(graph: Graph, task_name: str) -> Callable[[Schedule], Candidate]:
    """What makes candidates of a graph's schedules. Raises InputError where an operator has no generator."""
    try:
        generate(graph, STARTS[0], task_name)
    except Unsupported as error:
        raise InputError(
            "no C++ kernel can be generated for this task", value=str(error), rule="see docs/engineer.md",
            next_step="judge a kernel of your own with assay judge",
        ) from error  # fmt: skip
    return lambda schedule: generate(graph, schedule, task_name)


def schedule_of(candidate: Candidate) -> Schedule | None:
    """How a candidate was generated, whoever proposed it; None where its file does not say."""
    head, _, _ = candidate.files[0].text.partition("\n")
    if not head.startswith(HEAD):
        return None
    try:
        return Schedule.from_json(json.loads(head.removeprefix(HEAD)))
    except (ValueError, TypeError):
        return None


def text_of(candidate: Candidate) -> str:
    """What it says, without the line on how it was generated: two schedules may write the same."""
    return candidate.files[0].text.partition("\n")[2] + " ".join(candidate.flags)


def schedule_words(schedule: Schedule) -> str:
    """What is not as usual."""
    usual = Schedule().to_json()
    return ", ".join(f"{name}={value}" for name, value in schedule.to_json().items() if value != usual[name]) or "usual"


def _moved(schedule: Schedule, rng: np.random.Generator) -> Schedule:
    """Another value in one or two places."""
    for name in rng.choice(list(CHOICES), size=int(rng.integers(1, 3)), replace=False):
        others = [value for value in CHOICES[str(name)] if value != getattr(schedule, str(name))]
        schedule = replace(schedule, **{str(name): others[int(rng.integers(len(others)))]})
    return schedule


def _crossed(parents: list[tuple[str, Schedule]], rng: np.random.Generator) -> Schedule:
    """Each choice from either parent."""
    picks = {name: getattr(parents[int(rng.integers(len(parents)))][1], name) for name in CHOICES}
    return Schedule(**picks)
