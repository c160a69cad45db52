"""The proposers of one search, by name: all that have what they need, or those that are asked for."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from assay.core.sources import Task
from assay.engineer.graph import Graph
from assay.engineer.language.endpoint import Model, OpenAIEndpoint
from assay.engineer.language.meter import Meter
from assay.engineer.language.recorded import Recorded
from assay.engineer.proposers.archived import Archived
from assay.engineer.proposers.codegen import Codegen
from assay.engineer.proposers.generators import CPP, CUDA, TRITON, Writer, writer_for
from assay.engineer.proposers.language_model import KernelWriter, ScheduleChooser
from assay.engineer.proposers.tuner import Tuner
from assay.errors import InputError
from assay.machine.survey import read_facts
from assay.search import Proposer

_GENERATING: dict[str, type[Codegen] | type[Tuner]] = {"codegen": Codegen, "tuner": Tuner}
NAMES = ("codegen", "tuner", "archive", "llm")
"""The generator's own steps, its choices tuned by a model of the scores, certified kernels, language models."""


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


def chosen_names(wanted: Sequence[str], archive: str, models: Models) -> tuple[str, ...]:
    """Who proposes; nobody wanted stands for all that have what they need.

    Raises InputError for an unknown name, and for one that lacks its archive or its models or whose models may not.
    """
    lacking = {name for name, given in (("archive", archive), ("llm", models.models)) if not given}
    if not wanted:
        return tuple(name for name in NAMES if name not in lacking)
    for name in wanted:
        if name not in NAMES:
            raise InputError(
                "no such proposer", value=name or "an empty name", rule=f"names of {', '.join(NAMES)}, with commas",
                next_step="choose among these, or leave --proposers out for all of them",
            )  # fmt: skip
        if name in lacking:
            raise InputError(
                f"the proposer {name} has nothing to propose from", value=", ".join(wanted),
                rule="archive goes with --archive URL, llm with --llm URL and --llm-model NAME",
                next_step=f"name its source, or leave {name} out",
            )  # fmt: skip
    if "llm" not in wanted and "llm" not in lacking:
        raise InputError(
            "language models are given, but do not propose", value=", ".join(wanted),
            rule="who is not among the proposers is never asked", next_step="add llm, or leave --llm out",
        )  # fmt: skip
    return tuple(dict.fromkeys(wanted))


def make_proposers(
    task: Task, graph: Graph, archive: str, models: Models, wanted: Sequence[str] = (), *, on_device: bool = False
) -> list[Proposer]:
    """Those of `chosen_names`, for a GPU where `on_device`.

    Raises InputError as it does, for a graph without generator, and for language models on a device; the archive's
    errors.
    """
    names = chosen_names(wanted, archive, models)
    if on_device and "llm" in names:
        raise InputError("language models write C++ here and no CUDA yet", value="--device cuda with --llm",
                         next_step="leave --llm out, or judge their kernels with assay judge")  # fmt: skip
    archived = Archived(archive, graph, task, CUDA if on_device else CPP) if archive else None
    proposers: list[Proposer] = []
    if generated := [name for name in _GENERATING if name in names]:
        for write in _writers(graph, task.name, on_device=on_device):
            suffix = "-triton" if write.generator is TRITON else ""
            proposers += [_GENERATING[name](write, write.generator, name + suffix) for name in generated]
    if archived is not None and "archive" in names:
        proposers.append(archived)
    if "llm" in names:
        example = archived.likest_source() if archived is not None else ""
        proposers += _language_models(task, graph, models, example)
    return proposers


def _writers(graph: Graph, name: str, *, on_device: bool) -> list[Writer]:
    """One for each generator that has all of the graph's operators; the first one's lack is an error."""
    if not on_device:
        return [writer_for(graph, name, CPP)]
    writers = [writer_for(graph, name, CUDA)]
    if importlib.util.find_spec("triton") is not None:
        with contextlib.suppress(InputError):
            writers.append(writer_for(graph, name, TRITON))
    return writers


def _language_models(task: Task, graph: Graph, models: Models, example: str) -> list[Proposer]:
    """One for each model, with one meter for all."""
    proposers: list[Proposer] = []
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
