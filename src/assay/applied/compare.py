"""A whole model before and after: what the certified kernels bring end to end.

Measured in the caller's own process, interleaved, on the example inputs. It is no certificate: the kernels have theirs,
and the model around them is the caller's own code.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from assay.engineer.places import APPLIED, EAGER
from assay.referee.timing.statistics import interval
from assay.report.units import estimate_text

_WARM_UP = 3
_ROUNDS = 8
"""Stretches whose medians the interval is made of: calls near one another drift together."""
_FEWEST_TURNS, _MOST_TURNS = 5, 200


@dataclass(frozen=True, slots=True)
class Timed:
    """Medians in milliseconds by side, the fastest of the others, and the speedup over it with its 95 % interval.

    The sides are EAGER, APPLIED, and the ways of torch.compile that work.
    """

    milliseconds: dict[str, float]
    baseline: str
    speedup: tuple[float, float, float]

    def words(self, per: str) -> str:
        """One line; `per` is "a call" or "a step"."""
        others = ", ".join(f"{name} {ms:.3g} ms" for name, ms in self.milliseconds.items() if name != APPLIED)
        return (f"{self.milliseconds[APPLIED]:.3g} ms {per} with the certified kernels; {others}: "
                f"{estimate_text(*self.speedup)} over {self.baseline}.")  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """A plain mapping."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Comparison(Timed):
    """Of a model, with the largest absolute difference between the original's outputs and the applied model's."""

    difference: float


def compare(original: Any, applied: Any, example_inputs: Sequence[Any], seconds: float = 6.0) -> Comparison:
    """Time `original`, the same under torch.compile, and `applied`, in turns for about `seconds`.

    Raises what the model itself raises.
    """
    import torch

    with torch.no_grad():
        sides = {EAGER: original, APPLIED: applied}
        difference = _difference(original(*example_inputs), applied(*example_inputs))
        if (compiled := _compiled(original, example_inputs)) is not None:
            sides["torch.compile"] = compiled
        timed = time_in_turns({name: _call(model, example_inputs) for name, model in sides.items()}, seconds)
    return Comparison(timed.milliseconds, timed.baseline, timed.speedup, difference)


def time_in_turns(sides: Mapping[str, Callable[[], object]], seconds: float) -> Timed:
    """Time calls in turns, in another order each, for about `seconds`; the side APPLIED against the rest."""
    calls = {name: _timed(side) for name, side in sides.items()}
    for call in calls.values():
        for _ in range(_WARM_UP):
            call()
    pilot = _turns(calls, 2)
    turn_s = sum(float(np.median(times)) for times in pilot.values()) / 1e9
    turns = min(max(int(seconds / _ROUNDS / turn_s), _FEWEST_TURNS), _MOST_TURNS)
    rounds = [_turns(calls, turns) for _ in range(_ROUNDS)]
    medians = {name: float(np.median([one[name] for one in rounds])) / 1e6 for name in calls}
    baseline = min((name for name in calls if name != APPLIED), key=medians.__getitem__)
    ratios = [float(np.median(np.log(one[baseline]) - np.log(one[APPLIED]))) for one in rounds]
    found = interval(ratios)
    return Timed(medians, baseline, (math.exp(found.estimate), math.exp(found.lower), math.exp(found.upper)))


def _compiled(model: Any, example_inputs: Sequence[Any]) -> Any | None:
    """The model under torch.compile, compiled; None where that fails, which is the model's own affair."""
    import torch

    try:
        compiled: Any = torch.compile(model)
        compiled(*example_inputs)
    except Exception:  # noqa: BLE001 - whatever a compiler raises on somebody's model
        return None
    return compiled


def _call(model: Any, example_inputs: Sequence[Any]) -> Callable[[], object]:
    return lambda: model(*example_inputs)


def _timed(side: Callable[[], object]) -> Callable[[], float]:
    def call() -> float:
        start = time.perf_counter_ns()
        side()
        return float(time.perf_counter_ns() - start)

    return call


def _turns(calls: dict[str, Callable[[], float]], turns: int) -> dict[str, list[float]]:
    """Nanoseconds of each side's calls, the sides in another order in every turn."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(turns):
        for name in random.sample(list(calls), len(calls)):
            times[name].append(calls[name]())
    return times


def _difference(first: Any, second: Any) -> float:
    """The largest absolute difference between two nests of tensors."""
    import torch
    from torch.utils import _pytree as pytree

    pairs = zip(pytree.tree_leaves(first), pytree.tree_leaves(second), strict=True)
    floating = [(a, b) for a, b in pairs if isinstance(a, torch.Tensor) and a.is_floating_point() and a.numel()]
    return max((float((a.double() - b.double()).abs().max()) for a, b in floating), default=0.0)
