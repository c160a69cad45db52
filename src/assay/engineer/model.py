"""A whole model: its parts as tasks, each optimised and judged, ready to be applied."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from assay.core.sources import Task
from assay.engineer.convert import Converted, convert
from assay.engineer.graph import Graph
from assay.engineer.optimize import OptimizeConfig, Optimized, optimize_in
from assay.engineer.places import Place, measure_places
from assay.engineer.proposers.generators import writer_for
from assay.engineer.tracing import Tracing
from assay.errors import InputError
from assay.referee.bench import Progress
from assay.search import Event

_LEAST_SHARE = 0.02
"""A part below this share cannot bring 2 % to the whole, whatever becomes of it."""


@dataclass(frozen=True, slots=True)
class Part:
    """One graph of the model, wherever it occurs: the share of the time of all its places together."""

    converted: Converted
    graph: Graph
    places: tuple[str, ...]
    share: float

    @property
    def task(self) -> Task:
        """What is optimised."""
        return self.converted.task

    @property
    def name(self) -> str:
        """Its places, for people."""
        return ", ".join(place or "the whole module" for place in self.places)

    def to_json(self, found: Optimized) -> dict[str, Any]:
        """What it is and what came of it."""
        return {"places": list(self.places), "share": self.share, **found.to_part_json()}


@dataclass(frozen=True, slots=True)
class Parts:
    """What can be optimised, the largest share first, and what cannot, with the reason."""

    chosen: tuple[Part, ...]
    left_out: dict[str, str]


def choose_parts(model: Any, example_inputs: Sequence[Any]) -> Parts:
    """The largest submodules that have a graph and a generator, none within another.

    Raises InputError, with the reasons, where there is none.
    """
    chosen: dict[str, Part] = {}
    left_out: dict[str, str] = {}
    taken: list[str] = []
    with Tracing() as tracing:
        for place in measure_places(model, example_inputs):
            if place.share < _LEAST_SHARE or any(place.is_within(other) for other in taken):
                continue
            try:
                converted, graph = _traced(place, tracing)
            except InputError as error:
                left_out[place.name or "the model"] = f"{error.what}: {error.value}"
                continue
            taken.append(place.name)
            known = chosen.get(converted.key, Part(converted, graph, (), 0.0))
            chosen[converted.key] = replace(known, places=(*known.places, place.name), share=known.share + place.share)
    if not chosen:
        reasons = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise InputError("no part of the module can be optimised", value=reasons[:500], rule="see docs/engineer.md")
    return Parts(tuple(sorted(chosen.values(), key=lambda part: -part.share)), left_out)


def _traced(place: Place, tracing: Tracing) -> tuple[Converted, Graph]:
    """The place as a task, and a graph that kernels can be generated for; raises InputError with the reason."""
    if place.arguments is None or place.calls != 1:
        raise InputError("it is called more than once, or not with plain tensors and numbers", value=place.name)
    converted = convert(place.module, place.arguments, place.name.replace(".", "_") or "model")
    graph = tracing.trace(converted.task)
    writer_for(graph, converted.task.name)
    return converted, graph


def optimize_parts(
    parts: Parts, config: OptimizeConfig, runs: Path, progress: Progress, *,
    watch: Callable[[Event], None] = lambda _event: None, resume: bool = False,
) -> Iterator[tuple[Part, Optimized, Path]]:  # fmt: skip
    """Optimise every part, the budget shared by their shares of the time; each as soon as it is done, with its folder.

    `resume` goes on with each part's last search in `runs` where there is one.
    """
    total = sum(part.share for part in parts.chosen)
    for part in parts.chosen:
        own = replace(config, budget_s=config.budget_s * part.share / total)
        yield part, *optimize_in(runs, part.converted.task, part.graph, own, watch, progress, resume=resume)
