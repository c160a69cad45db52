"""Where a model spends its time, by submodule, and which of these can be tasks of their own.

Shares are inclusive and measured by hooks on a few runs; they bound what a faster part can bring to the whole
(Amdahl 1967): with a share s, a part that takes no time at all makes the model 1 / (1 - s) times as fast.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

EAGER, APPLIED = "eager", "applied"
"""Of a whole before and after: as PyTorch runs it, and with certified kernels."""
_WARM_UP, _RUNS = 3, 7
_NEARLY_ALL = 0.99
"""A share above which the bound is no bound."""


@dataclass(slots=True)
class Place:
    """A submodule: its name ("" for the model itself), its share of the time, and the arguments of its first call.

    `arguments` is None where it was called with named arguments or with something that is neither tensor nor number.
    """

    name: str
    module: Any
    share: float = 0.0
    arguments: tuple[Any, ...] | None = None
    calls: int = 0
    seconds: list[float] = field(default_factory=list)

    def is_within(self, other: str) -> bool:
        """Whether it is the submodule of that name, or inside it."""
        return other == "" or self.name == other or self.name.startswith(other + ".")


def bound_text(share: float, words: str = "") -> str:
    """The most that a part with this share of the time can bring to the whole: `1.25x`, after `words`."""
    return f"{words}{1.0 / (1.0 - share):.2f}x" if share <= _NEARLY_ALL else "any speedup"


def measure_places(model: Any, example_inputs: Sequence[Any]) -> list[Place]:
    """All submodules that are called, the largest share first."""
    import torch

    places = {name: Place(name, module) for name, module in model.named_modules()}
    with torch.no_grad(), _watched(torch, places):
        for number in range(_WARM_UP + _RUNS):
            for place in places.values():
                place.seconds.append(0.0)
                place.calls = 0
            model(*example_inputs)
            if number < _WARM_UP:
                for place in places.values():
                    place.seconds.clear()
    whole = statistics.median(places[""].seconds)
    for place in places.values():
        place.share = statistics.median(place.seconds) / whole if whole > 0 else 0.0
    called = [place for place in places.values() if place.calls]
    return sorted(called, key=lambda place: (-place.share, place.name.count("."), place.name))


@contextmanager
def _watched(torch: Any, places: dict[str, Place]) -> Iterator[None]:
    """Hooks on every submodule while it lasts."""
    started: dict[str, float] = {}
    handles = []

    def before(name: str) -> Any:
        def hook(_module: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
            place = places[name]
            plain = not named and all(isinstance(a, (torch.Tensor, int, float)) for a in arguments)
            if place.arguments is None and plain:
                place.arguments = tuple(a.detach().clone() if isinstance(a, torch.Tensor) else a for a in arguments)
            started[name] = time.perf_counter()

        return hook

    def after(name: str) -> Any:
        def hook(_module: Any, _arguments: tuple[Any, ...], _named: dict[str, Any], _result: Any) -> None:
            places[name].seconds[-1] += time.perf_counter() - started[name]
            places[name].calls += 1

        return hook

    try:
        for name, place in places.items():
            handles.append(place.module.register_forward_pre_hook(before(name), with_kwargs=True))
            handles.append(place.module.register_forward_hook(after(name), with_kwargs=True))
        yield
    finally:
        for handle in handles:
            handle.remove()
