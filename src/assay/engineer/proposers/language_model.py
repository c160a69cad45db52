"""A language model as a proposer: it writes whole kernels, or chooses among the generator's schedules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from assay.core.sources import Candidate, Language, SourceFile, Task
from assay.engineer.codegen.generate import generate
from assay.engineer.graph import Graph
from assay.engineer.language.endpoint import Answer, Endpoint, Message, Model
from assay.engineer.language.meter import Meter
from assay.engineer.language.prompts import (
    kernel_messages,
    read_kernel,
    read_schedule,
    schedule_messages,
    schedule_schema,
)
from assay.engineer.proposers.generators import CPP
from assay.machine.facts import MachineFacts
from assay.search import Idea, Request

_SCHEDULE_TOKENS = 300
_CHARACTERS_PER_TOKEN = 3
"""For an upper guess of a question's tokens before it is asked: code has some 3.5 characters to one."""


class _Asking:
    """Questions to one model, as far as the meter allows.

    Answers that come to nothing are charged to the next idea, so that the search's account is complete.
    """

    def __init__(self, model: Model, endpoint: Endpoint, meter: Meter) -> None:
        self.model, self._endpoint, self._meter = model, endpoint, meter
        self._uncharged: list[Answer] = []

    def ask(self, messages: Sequence[Message], longest: int, schema: Mapping[str, Any] | None = None) -> str | None:
        """The answer's text, None where it could cost more than is left."""
        asked = sum(len(each["content"]) for each in messages) // _CHARACTERS_PER_TOKEN
        room = self._meter.longest(self.model, asked, longest)
        if room == 0:
            return None
        answer = self._endpoint.ask(messages, room, schema)
        self._meter.book(self.model, answer)
        self._uncharged.append(answer)
        return answer.text

    def idea(self, candidate: Candidate, proposer: str, request: Request, note: str) -> Idea:
        """An idea that bears the cost of all that was asked for it."""
        tokens = sum(each.tokens_in + each.tokens_out for each in self._uncharged)
        money = sum(self.model.price(each.tokens_in, each.tokens_out) for each in self._uncharged)
        self._uncharged = []
        parents = tuple(parent.idea.identity for parent in request.parents)
        return Idea(candidate, proposer, parents, note, tokens, money)


class KernelWriter:
    """Asks for whole kernels. What comes back is hostile code like any other: it is built and run in the sandbox.

    An answer without a kernel raises InputError, an endpoint that does not answer MachineError; the search goes on.
    """

    def __init__(
        self, model: Model, endpoint: Endpoint, meter: Meter, task: Task, facts: MachineFacts, example: str = ""
    ) -> None:
        """`example` is the source of a certified kernel for a similar task."""
        self.name = f"llm:{model.name}"
        self._asking = _Asking(model, endpoint, meter)
        self._task, self._facts, self._example = task, facts, example

    def propose(self, request: Request) -> Idea | None:
        """One question, one kernel; None once the tokens are spent."""
        messages = kernel_messages(request, self._task, self._facts, self._example)
        text = self._asking.ask(messages, self._asking.model.answer_tokens)
        if text is None:
            return None
        files = (SourceFile("kernel.cpp", read_kernel(text)),)
        candidate = Candidate(self._task.name, Language.CPP, files, "assay_kernel", proposer=self.name)
        return self._asking.idea(candidate, self.name, request, "")


class ScheduleChooser:
    """Asks for a schedule of the task's graph as JSON, which models can answer that cannot write a kernel."""

    def __init__(self, model: Model, endpoint: Endpoint, meter: Meter, task: Task, graph: Graph) -> None:
        self.name = f"llm-schedule:{model.name}"
        self._asking = _Asking(model, endpoint, meter)
        self._task, self._graph = task, graph

    def propose(self, request: Request) -> Idea | None:
        """One question, one schedule; None once the tokens are spent."""
        text = self._asking.ask(schedule_messages(request, self._task), _SCHEDULE_TOKENS, schedule_schema())
        if text is None:
            return None
        schedule = read_schedule(text)
        candidate = generate(self._graph, schedule, self._task.name)
        return self._asking.idea(candidate, self.name, request, CPP.words(schedule))
