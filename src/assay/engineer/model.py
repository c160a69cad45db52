"""A whole model: its parts as tasks, each optimised and judged, ready to be applied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from assay.engineer.convert import Converted, convert
from assay.engineer.optimize import OptimizeConfig, Optimized, optimize_task
from assay.engineer.places import Place, measure_places
from assay.engineer.proposers.codegen import Codegen
from assay.engineer.tracing import Tracing
from assay.errors import InputError
from assay.referee.bench import Progress
from assay.search import FileLedger

_LEAST_SHARE = 0.02
"""A part below this share cannot bring 2 % to the whole, whatever becomes of it."""


@dataclass(frozen=True, slots=True)
class Part:
    """One graph of the model, wherever it occurs: the share of the time of all its places together."""

    converted: Converted
    places: tuple[str, ...]
    share: float


@dataclass(frozen=True, slots=True)
class Parts:
    """What can be optimised, the largest share first, and what cannot, with the reason."""

    chosen: tuple[Part, ...]
    left_out: dict[str, str]


def choose_parts(model: Any, example_inputs: Sequence[Any]) -> Parts:
    """The largest submodules that have a graph and a generator, none within another."""
    chosen: dict[str, Part] = {}
    left_out: dict[str, str] = {}
    taken: list[str] = []
    with Tracing() as tracing:
        for place in measure_places(model, example_inputs):
            if place.share < _LEAST_SHARE or any(_is_within(place.name, other) for other in taken):
                continue
            try:
                converted = _converted(place, tracing)
            except InputError as error:
                left_out[place.name or "the model"] = f"{error.what}: {error.value}"
                continue
            taken.append(place.name)
            known = chosen.get(converted.key, Part(converted, (), 0.0))
            chosen[converted.key] = replace(known, places=(*known.places, place.name), share=known.share + place.share)
    return Parts(tuple(sorted(chosen.values(), key=lambda part: -part.share)), left_out)


def _is_within(name: str, other: str) -> bool:
    return other == "" or name == other or name.startswith(other + ".")


def _converted(place: Place, tracing: Tracing) -> Converted:
    """The place's graph as a task that kernels can be generated for; raises InputError with the reason otherwise."""
    if place.arguments is None or place.calls != 1:
        raise InputError("it is called more than once, or not with plain tensors and numbers", value=place.name)
    converted = convert(place.module, place.arguments, place.name.replace(".", "_") or "model")
    Codegen(tracing.trace(converted.task), converted.task.name)
    return converted


def optimize_parts(
    parts: Parts, config: OptimizeConfig, folder: Path, progress: Progress, keep: Callable[[Part, Optimized], None]
) -> None:
    """Optimise every part, the budget shared by their shares of the time; `keep` gets each as soon as it is done."""
    total = sum(part.share for part in parts.chosen)
    for part in parts.chosen:
        own = replace(config, budget_s=config.budget_s * part.share / total)
        with FileLedger(folder / part.converted.key[:12]) as ledger:
            keep(part, optimize_task(part.converted.task, own, ledger, lambda _event: None, progress))
