"""Pictures: success over width, networks, a glider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from markupsafe import Markup
from numpy.typing import NDArray
from torch.nn import functional as F

from assay.report.axes import MARGIN, WIDE, axis, vertical_axis
from assay.report.scales import LinearScale, tick_text
from assay.report.svg import dots, element, line, rectangle, text
from benchmarks.life.folding import fold
from benchmarks.life.network import LifeNetwork, parameters
from benchmarks.life.rules import Cells, torus_step
from benchmarks.referee.pictures import stand_alone

_COLOURS = {"first": ("#1257c9", "#7fb0ff"), "second": ("#a81c1c", "#ff8f87"), "third": ("#0d7a4a", "#5fd39b")}
_RULES = """
.first { --side: var(--first); } .second { --side: var(--second); } .third { --side: var(--third); }
.name { fill: var(--side); } .error { stroke: var(--side); stroke-width: 2; }
.dot { stroke: var(--side); stroke-width: 9; stroke-linecap: round; fill: none; }
.edge { stroke: var(--side); stroke-linecap: round; } .carry { stroke: var(--rule); stroke-dasharray: 2 3; }
.node { fill: var(--paper); stroke: var(--ink); stroke-width: 1.5; }
.alive { fill: var(--ink); } .dead { fill: var(--paper); stroke: var(--rule); } .differs { fill: var(--second); }
"""
_SIDES = {1: "first", 2: "second", 3: "third"}
Point = tuple[float, float]


def success_over_width(shares: Mapping[int, Sequence[tuple[int, float, float, float]]]) -> str:
    """For each number of steps: width m, share of instances that were right, and its limits."""
    points = [each for of in shares.values() for each in of]
    x = LinearScale(0.5, max(m for m, *_ in points) + 0.5, 58.0, WIDE - MARGIN)
    y = LinearScale(0.0, 1.0, 300.0, 24.0)
    parts = [*axis(x, 24.0, 300.0, "width m, times the minimal network's", tick_text)]
    parts += vertical_axis(y, 58.0, WIDE - MARGIN, "share of instances that learn it, with 95 % limits")
    for n, of in shares.items():
        side = _SIDES.get(n, "first")
        for m, share, low, high in of:
            at = x(m) + 9 * (n - 2)
            parts += [line(at, y(low), at, y(high), f"error {side}"), dots([(at, y(share))], f"dot {side}")]
        parts.append(text(70.0, 40.0 + 18 * n, f"{n} step{'s' * (n > 1)}", f"label name {side}"))
    return stand_alone(
        parts, 346.0, "Share of instances that learn the Game of Life over the networks' width.", _COLOURS, _RULES
    )


def network_picture(network: LifeNetwork) -> str:
    """What is left of a network after folding: squares are what a 3x3 sees, circles channels, blue edges positive
    weights and red ones negative, the wider the larger in their layer."""
    layers = parameters(fold(network))
    height, gap = 330.0, (WIDE - 80) / (3 * network.n)
    parts: list[Markup] = []
    nodes: list[Markup] = []
    sources: dict[int, Point] = {}
    for number in range(network.n):
        left = 45 + 3 * gap * number
        seen = _window_places(layers[4 * number], left, height, nodes)
        for channel, (x, y) in sources.items():
            parts += [line(x, y, *seen[channel, cell], "carry") for cell in (0, 6) if (channel, cell) in seen]
        for depth, layer in enumerate((4 * number, 4 * number + 2)):
            weight = layers[layer].reshape(layers[layer].shape[0], -1)
            targets = _channel_places(weight, left + gap * (depth + 1), height, nodes)
            flat = {channel * 9 + cell: at for (channel, cell), at in seen.items()} if depth == 0 else sources
            parts += _edges(weight, flat, targets)
            sources = targets
    end = _channel_places(layers[-2][:, :, 0, 0], WIDE - 40, height, nodes)
    parts += _edges(layers[-2][:, :, 0, 0], sources, end)
    label = f"The network of {network.n} step{'s' * (network.n > 1)} that is left: its channels and signed weights."
    return stand_alone([*parts, *nodes], height, label, _COLOURS, _RULES)


def _window_places(
    weight: NDArray[np.float64], left: float, height: float, nodes: list[Markup]
) -> dict[tuple[int, int], Point]:
    """Squares of every channel that a 3x3 convolution reads, by channel and position."""
    channels = np.flatnonzero(weight.any((0, 2, 3)))
    found, apart = {}, min(30.0, height / (3.6 * max(len(channels), 1)))
    side = 0.5 * apart
    for row, channel in enumerate(channels):
        middle = height * (row + 0.5) / len(channels)
        for cell in range(9):
            x, y = left + (cell % 3 - 1) * apart, middle + (cell // 3 - 1) * apart
            nodes.append(rectangle(x - side / 2, y - side / 2, side, side, "node"))
            found[int(channel), cell] = (x, y)
    return found


def _channel_places(weight: NDArray[np.float64], x: float, height: float, nodes: list[Markup]) -> dict[int, Point]:
    """Circles of the channels that have weights."""
    rows = np.flatnonzero(weight.any(1))
    found = {int(row): (x, height * (place + 0.5) / len(rows)) for place, row in enumerate(rows)}
    nodes += [element("circle", cx=x, cy=y, r=7.0, class_="node") for x, y in found.values()]
    return found


def _edges(weight: NDArray[np.float64], sources: Mapping[int, Point], targets: Mapping[int, Point]) -> list[Markup]:
    largest, found = np.abs(weight).max(initial=0.0), []
    for target, source in np.argwhere(weight):
        (x1, y1), (x2, y2) = sources[int(source)], targets[int(target)]
        value = float(weight[target, source])
        found.append(
            element(
                "line", x1=x1, y1=y1, x2=x2, y2=y2, class_=f"edge {'first' if value > 0 else 'second'}",
                stroke_width=f"{0.6 + 3.4 * abs(value) / largest:.2f}",
            )
        )  # fmt: skip
    return found


def glider(network: LifeNetwork, boards: int = 8, side: int = 10) -> str:
    """A glider on a board whose edges adjoin, run by the network alone: each board comes from the one before. A cell
    that the rule would have otherwise is red."""
    board = np.zeros((side, side), np.uint8)
    for row, column in ((0, 1), (1, 2), (2, 0), (2, 1), (2, 2)):
        board[row + 1, column + 1] = 1
    true, parts, wide = board, [], (WIDE - 10) / boards
    for number in range(boards):
        left, cell = 10 + number * wide, (wide - 10) / side
        parts.append(rectangle(left, 8, side * cell, side * cell, "dead"))
        for row, column in np.argwhere(board | true).tolist():
            kind = "alive" if board[row, column] == true[row, column] else "differs"
            parts.append(rectangle(left + column * cell, 8 + row * cell, cell - 0.8, cell - 0.8, kind))
        parts.append(text(left, 8 + side * cell + 16, str(number * network.n), "label tick"))
        board = predict(network, board)
        for _ in range(network.n):
            true = torus_step(true)
    return stand_alone(
        parts, wide + 24, f"A glider run by a network of {network.n} steps, {boards} boards.", _COLOURS, _RULES
    )


def predict(network: LifeNetwork, board: Cells) -> Cells:
    """The board n steps later, its edges adjoining, as the network says."""
    cells = torch.from_numpy(board.astype(np.float32))[None, None]
    with torch.no_grad():
        alive = network(F.pad(cells, (network.n,) * 4, mode="circular"))[0, 0] > 0.5
    found: Cells = alive.numpy().astype(np.uint8)
    return found
