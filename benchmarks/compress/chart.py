"""Speed over sparsity, a line for each kind of pruning: where it crosses 1, zeros begin to pay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from markupsafe import Markup

from assay.report.axes import MARGIN, WIDE, axis, text_width, vertical_axis
from assay.report.scales import LinearScale, LogScale, tick_text
from assay.report.svg import dots, line, rectangle, text
from benchmarks.referee.pictures import HALO, stand_alone

_LEFT, _TOP, _BOTTOM, _HEIGHT = 58.0, 24.0, 300.0, 346.0
_COLOURS = {
    "slower": ("#f7e7e6", "#33191a"), "structured": ("#1257c9", "#7fb0ff"), "block": ("#16733f", "#6fd39b"),
    "unstructured": ("#a8461c", "#ffb287"), "local": ("#7a3fa0", "#cf9df0"),
}  # fmt: skip
_RULES = (
    HALO
    + """
.slower { fill: var(--slower); }
.structured { --side: var(--structured); } .block { --side: var(--block); }
.unstructured { --side: var(--unstructured); } .local { --side: var(--local); }
.name { fill: var(--side); } .curve { stroke: var(--side); stroke-width: 2; fill: none; }
.dot { stroke: var(--side); stroke-width: 9; stroke-linecap: round; fill: none; }
"""
)

Curve = Sequence[tuple[float, float]]
"""Sparsity from 0 to 1, and speed over the dense model."""


def crossover(curves: Mapping[str, Curve], title: str, label: str) -> str:
    """A picture; what is slower than dense lies in the shaded field. Raises ValueError without any point."""
    points = [point for curve in curves.values() for point in curve]
    speeds = [speed for _, speed in points]
    x = LinearScale(min(sparsity for sparsity, _ in points) - 0.05, 1.0, _LEFT, WIDE - MARGIN - 90)
    y = LogScale(min(0.8, *speeds) / 1.15, max(1.25, *speeds) * 1.15, _BOTTOM, _TOP)
    parts = [
        rectangle(_LEFT, y(1.0), x.end - _LEFT, _BOTTOM - y(1.0), "slower"),
        *axis(x, _TOP, _BOTTOM, "share that was removed", tick_text),
        *vertical_axis(y, _LEFT, x.end, title),
    ]
    taken: list[float] = []
    for kind, curve in sorted(curves.items(), key=lambda each: -each[1][-1][1]):
        parts += _curve(kind, [(x(sparsity), y(speed)) for sparsity, speed in curve], taken)
    return stand_alone(parts, _HEIGHT, label, _COLOURS, _RULES)


def _curve(kind: str, places: Sequence[tuple[float, float]], taken: list[float]) -> list[Markup]:
    left, height = places[-1]
    while any(abs(height - other) < 15 for other in taken):
        height += 15
    taken.append(height)
    left = min(left + 10, WIDE - MARGIN - text_width(kind, "label"))
    return [
        *(line(*one, *other, f"curve {kind}") for one, other in pairwise(places)),
        dots(places, f"dot {kind}"),
        text(left, height + 4, kind, f"label name {kind}"),
    ]
