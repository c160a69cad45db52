"""Quality over cost as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from assay.report.axes import MARGIN, WIDE, axis, text_width, vertical_axis
from assay.report.scales import LinearScale, LogScale, tick_text
from assay.report.svg import dots, line, rectangle, text
from benchmarks.referee.pictures import HALO, stand_alone

_LEFT, _TOP, _BOTTOM, _HEIGHT = 58.0, 24.0, 340.0, 386.0
_COLOURS = {
    "goal": ("#e3f1e8", "#17301f"), "dense": ("#4d5563", "#c3cad5"), "fine": ("#1257c9", "#7fb0ff"),
    "coarse": ("#a81c1c", "#ff8f87"),
}  # fmt: skip
_RULES = (
    HALO
    + """
.goal { fill: var(--goal); }
.dense { --side: var(--dense); } .fine { --side: var(--fine); } .coarse { --side: var(--coarse); }
.name { fill: var(--side); } .error { stroke: var(--side); stroke-width: 2; }
.dot { stroke: var(--side); stroke-width: 9; stroke-linecap: round; fill: none; }
"""
)


@dataclass(frozen=True, slots=True)
class Point:
    """An arm: its cost, its bits per byte with their standard error, and its kind: dense, fine or coarse."""

    name: str
    cost: float
    bits: float
    error: float
    kind: str


def scatter(points: Sequence[Point], title: str, goal: tuple[float, float], label: str) -> str:
    """A picture of bits over cost; `goal` holds the highest cost and bits that reach the goal: a shaded field.

    Raises ValueError for fewer points than one, and for costs or bits that are not positive.
    """
    highest = max(goal[1], *(p.bits + p.error for p in points))
    lowest = min(goal[1], *(p.bits - p.error for p in points))
    costs = [goal[0], *(p.cost for p in points)]
    reach = max(highest - lowest, 0.01) * 0.12
    x = LogScale(min(costs) / 1.25, max(costs) * 1.25, _LEFT, WIDE - MARGIN)
    y = LinearScale(lowest - reach, highest + reach, _BOTTOM, _TOP)
    parts = [
        rectangle(x.start, y(goal[1]), x(goal[0]) - x.start, y.start - y(goal[1]), "goal"),
        *axis(x, _TOP, _BOTTOM, title, tick_text),
        *vertical_axis(y, _LEFT, WIDE - MARGIN, "bits per byte on held-out text; the shaded field is the goal"),
    ]
    taken: list[tuple[float, float, float]] = []
    for point in sorted(points, key=lambda each: each.bits):
        parts += _point(point, x, y, taken)
    return stand_alone(parts, _HEIGHT, label, _COLOURS, _RULES)


def _point(point: Point, x: LogScale, y: LinearScale, taken: list[tuple[float, float, float]]) -> list[Markup]:
    at, height = x(point.cost), y(point.bits)
    width = text_width(point.name, "label")
    left = at + 10 if at + 10 + width <= WIDE - MARGIN else at - 10 - width
    for shift in (4.0, -12.0, 20.0, -28.0, 36.0, -44.0):
        if not any(left < end and left + width > start and abs(height + shift - v) < 15 for start, end, v in taken):
            break
    taken += [(left, left + width, height + shift), (at - 6, at + 6, height + 4)]
    return [
        line(at, y(point.bits - point.error), at, y(point.bits + point.error), f"error {point.kind}"),
        dots([(at, height)], f"dot {point.kind}"),
        text(left, height + shift, point.name, f"label name {point.kind}"),
    ]
