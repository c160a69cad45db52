"""The archive as a proposer: what was certified for the same task, and for others of its kind how it was scheduled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import assay.archive
from assay.core.sources import Candidate, Task
from assay.engineer.graph import Graph
from assay.engineer.proposers.generators import CPP, AnySchedule, Generator, Writer
from assay.search import Idea, Kind, Request

_MOST = 5
"""Ideas: each costs a build and a screening, and the likest come first."""
_LEAST_LIKENESS = 0.3
"""Made of less of the same, a schedule is no better than one drawn by chance."""


class Archived:
    """Proposes certified kernels of this very task as they are, and schedules of similar ones on this task's graph.

    Only certificates that accept and verify are in an archive; each is checked again when it is read, and what comes
    of it is judged like anything else.
    """

    name = "archive"

    def __init__(self, location: str, graph: Graph, task: Task, generator: Generator = CPP) -> None:
        """`location` is a path or URL. Raises the errors of `assay.archive.open_archive`."""
        self._archive = assay.archive.open_archive(location)
        self._graph, self._task = graph, task
        self._write = Writer(generator, graph, task.name)
        self._ideas: Iterator[Idea] | None = None

    def propose(self, request: Request) -> Idea | None:
        """The next, for fresh requests only; what becomes of it afterwards is for others to vary."""
        if request.kind is not Kind.FRESH:
            return None
        if self._ideas is None:
            self._ideas = self._found()
        return next(self._ideas, None)

    def likest_source(self) -> str:
        """The first file of the likest kernel's sources, empty where nothing is like it."""
        for match in self._archive.search(signature_of(self._graph), limit=1):
            if (match.similarity or 0.0) >= _LEAST_LIKENESS:
                found: Candidate = self._archive.show(match.entry.identity).candidate
                return found.files[0].text
        return ""

    def _found(self) -> Iterator[Idea]:
        proposed: set[AnySchedule] = set()
        matches = self._archive.search(signature_of(self._graph), limit=4 * _MOST)
        count = 0
        for match in matches:
            if count == _MOST or (match.similarity or 0.0) < _LEAST_LIKENESS:
                return
            found = self._archive.show(match.entry.identity)
            schedule = self._write.generator.schedule_of(found.candidate)
            here = found.candidate.language.on_device == self._write.generator.language.on_device
            words = f"{found.entry.speedup:.2f}x for {found.entry.task_name}, likeness {match.similarity:.2f}"
            if here and found.task.identity == self._task.identity and schedule is None:
                candidate: Candidate = found.candidate
            elif schedule is not None and schedule not in proposed:
                proposed.add(schedule)
                candidate = self._write(schedule)
            else:
                continue
            count += 1
            yield Idea(candidate, self.name, (), words)


def remember(location: str, certificate: Mapping[str, Any], graph: Graph) -> None:
    """Keep what was certified for a graph, for later searches. Raises the errors of the archive."""
    assay.archive.open_archive(location).admit(certificate, signature_of(graph))


def signature_of(graph: Graph) -> assay.archive.OperatorSignature:
    """A graph's operators, and the types and ranks of its tensor arguments."""
    placed = {node.name: node for node in graph.nodes}
    types = [placed[name].type for name in graph.inputs if name in placed]
    return assay.archive.OperatorSignature(
        graph.signature, tuple(each.dtype.value for each in types), tuple(len(each.shape) for each in types)
    )
