"""The proposers of one search: the generator always, the archive and language models where they are named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from assay.core.sources import Task
from assay.engineer.graph import Graph
from assay.engineer.language.endpoint import Model, OpenAIEndpoint
from assay.engineer.language.meter import Meter
from assay.engineer.language.recorded import Recorded
from assay.engineer.proposers.archived import Archived
from assay.engineer.proposers.codegen import Codegen
from assay.engineer.proposers.language_model import KernelWriter, ScheduleChooser
from assay.machine.survey import read_facts
from assay.search import Proposer


@dataclass(frozen=True, slots=True)
class Models:
    """Language models for a search.

    Args:
        models: each is a proposer of its own, so that the bandit finds out which is worth its cost.
        schedules: they choose schedules instead of writing kernels.
        most_tokens, most_money: limits for all of them together; None for none.
        answers: a folder where answers are kept and given again; None for none.
    """

    models: tuple[Model, ...] = ()
    schedules: bool = False
    most_tokens: int | None = None
    most_money: float | None = None
    answers: Path | None = None


def make_proposers(task: Task, graph: Graph, archive: str, models: Models) -> list[Proposer]:
    """All of them. Raises InputError where the graph has no generator, and the errors of the archive."""
    proposers: list[Proposer] = [Codegen(graph, task.name)]
    example = ""
    if archive:
        archived = Archived(archive, graph, task)
        proposers.append(archived)
        example = archived.likest_source() if models.models else ""
    meter = Meter(models.most_tokens, models.most_money)
    for model in models.models:
        endpoint: OpenAIEndpoint | Recorded = OpenAIEndpoint(model)
        if models.answers is not None:
            endpoint = Recorded(models.answers, model.name, endpoint)
        if models.schedules:
            proposers.append(ScheduleChooser(model, endpoint, meter, task, graph))
        else:
            proposers.append(KernelWriter(model, endpoint, meter, task, read_facts(), example))
    return proposers
