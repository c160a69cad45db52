"""Tree search over refinements: UCT with progressive widening.

A node is an idea, its children are refinements of it; the root's children are fresh ideas. From the root down: a node
with few children for its visits is widened (Coulom, Computing Elo ratings of move patterns, 2007), else the child with
the best upper confidence bound is entered (Kocsis and Szepesvari, Bandit based Monte-Carlo planning, ECML 2006).
A node is worth the best score below it, since a search wants one good leaf, not a good average; scores are scaled by
the range seen, so the exploration constant has no unit.
Limits: it never crosses two ideas.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from assay.search.protocols import Ask, Kind

ROOT = ""
"""The root's identity: no candidate has it."""

GIVES_UP = 3
"""Empty answers in a row after which a node is not widened any more."""


@dataclass(slots=True)
class _Node:
    parent: str | None
    score: float | None = None
    visits: int = 0
    empty: int = 0
    children: list[str] = field(default_factory=list)


class Mcts:
    """`exploration` is UCT's constant; a node has at most about `widening * visits ** power` children.

    Raises ValueError for a negative exploration, a widening that is not positive or a power outside 0 and 1.
    """

    name: ClassVar[str] = "mcts"

    def __init__(self, exploration: float = 0.2, widening: float = 1.0, power: float = 0.5) -> None:
        if exploration < 0 or widening <= 0 or not 0 < power < 1:
            raise ValueError(f"no such tree search: {exploration=} {widening=} {power=}")
        self._exploration, self._widening, self._power = exploration, widening, power
        self._nodes: dict[str, _Node] = {ROOT: _Node(None)}

    def ask(self, rng: np.random.Generator) -> Ask:
        """See `Strategy`."""
        place = ROOT
        values, is_open = self._values(), self._open_subtrees()
        while True:
            node = self._nodes[place]
            open_children = [name for name in node.children if values[name] is not None and is_open[name]]
            may_widen = node.empty < GIVES_UP
            few = len(node.children) < math.ceil(self._widening * max(1, node.visits) ** self._power)
            if not open_children or (may_widen and few):
                break
            place = max(open_children, key=lambda name: self._bound(name, node, values))
        return Ask(Kind.FRESH) if place == ROOT else Ask(Kind.REFINE, (place,))

    def tell(self, ask: Ask, identity: str | None, score: float | None) -> None:
        """See `Strategy`. A crossing that somebody else asked for hangs below its first parent."""
        above = ask.parents[0] if ask.parents and ask.parents[0] in self._nodes else ROOT
        if identity in self._nodes:
            self._nodes[identity].score = score
            return
        node = self._nodes[above]
        node.empty = node.empty + 1 if identity is None else 0
        if identity is not None:
            self._nodes[identity] = _Node(above, score)
            node.children.append(identity)
        place: str | None = above if identity is None else identity
        while place is not None:
            self._nodes[place].visits += 1
            place = self._nodes[place].parent

    def to_json(self) -> dict[str, Any]:
        """See `Strategy`."""
        return {
            "name": self.name,
            "exploration": self._exploration,
            "widening": self._widening,
            "power": self._power,
            "nodes": [[name, n.parent, n.score, n.visits, n.empty] for name, n in self._nodes.items()],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """See `Strategy`."""
        strategy = cls(float(data["exploration"]), float(data["widening"]), float(data["power"]))
        for name, parent, score, visits, empty in data["nodes"]:
            strategy._nodes[name] = _Node(parent, score, visits, empty)
            if parent is not None:
                strategy._nodes[parent].children.append(name)
        return strategy

    def _values(self) -> dict[str, float | None]:
        """The best score of each subtree within 0 and 1; None where nothing passed. Children come after parents."""
        best: dict[str, float | None] = {}
        for name in reversed(self._nodes):
            node = self._nodes[name]
            below = [value for child in node.children if (value := best[child]) is not None]
            best[name] = max([*below, *([] if node.score is None else [node.score])], default=None)
        seen = [node.score for node in self._nodes.values() if node.score is not None]
        low, high = min(seen, default=0.0), max(seen, default=0.0)
        scale = (high - low) or 1.0
        return {name: None if value is None else (value - low) / scale for name, value in best.items()}

    def _open_subtrees(self) -> dict[str, bool]:
        """Whether anything in a subtree can still be asked for."""
        is_open: dict[str, bool] = {}
        for name in reversed(self._nodes):
            node = self._nodes[name]
            is_open[name] = node.empty < GIVES_UP or any(is_open[child] for child in node.children)
        return is_open

    def _bound(self, name: str, above: _Node, values: Mapping[str, float | None]) -> float:
        value, visits = values[name] or 0.0, self._nodes[name].visits
        return value + self._exploration * math.sqrt(math.log(above.visits + 1) / visits)
