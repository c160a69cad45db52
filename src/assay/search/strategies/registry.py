"""The strategies there are, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from assay.errors import InputError
from assay.search.protocols import Strategy
from assay.search.strategies.beam import Beam
from assay.search.strategies.best_of_n import BestOfN
from assay.search.strategies.evolution import Evolution
from assay.search.strategies.mcts import Mcts
from assay.search.strategies.sequential import Sequential

STRATEGIES: tuple[type[Strategy], ...] = (BestOfN, Sequential, Beam, Evolution, Mcts)

NAMES = tuple(strategy.name for strategy in STRATEGIES)


def make(name: str, **options: Any) -> Strategy:
    """A fresh strategy. Raises InputError for an unknown name or option, or a value that it refuses."""
    build: Callable[..., Strategy] = _class_of(name)
    try:
        return build(**options)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{name} does not take these options",
            value=f"{options}: {error}",
            next_step=f"see the docstring of its class in assay.search.strategies.{name}",
        ) from error


def restore(data: Mapping[str, Any]) -> Strategy:
    """The strategy that wrote this state. Raises InputError for an unknown name."""
    return _class_of(str(data["name"])).from_json(data)


def _class_of(name: str) -> type[Strategy]:
    for strategy in STRATEGIES:
        if strategy.name == name:
            return strategy
    raise InputError("no such strategy", value=name, rule=f"one of {', '.join(NAMES)}", next_step="choose one of these")
