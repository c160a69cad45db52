"""Speed over sparsity, a line for each kind of pruning: where it crosses 1, zeros begin to pay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from markupsafe import Markup

from assay.report.axes import MARGIN, WIDE, axis, text_width, vertical_axis
from assay.report.scales import LinearScale, LogScale, tick_text
from assay.report.svg import dots, element, line, rectangle, text

_LEFT, _TOP, _BOTTOM, _HEIGHT = 58.0, 24.0, 300.0, 346.0
_STYLE = """
svg { --paper: #ffffff; --ink: #16191f; --soft: #565e6b; --rule: #d5d9e0; --slower: #f7e7e6;
  --structured: #1257c9; --block: #16733f; --unstructured: #a8461c; }
@media (prefers-color-scheme: dark) {
  svg { --paper: #12151a; --ink: #e8ebf0; --soft: #a4adba; --rule: #363e4a; --slower: #33191a;
    --structured: #7fb0ff; --block: #6fd39b; --unstructured: #ffb287; } }
.paper { fill: var(--paper); } .slower { fill: var(--slower); }
.label { font: 13px system-ui, "Segoe UI", Roboto, Arial, sans-serif; fill: var(--ink); paint-order: stroke;
  stroke: var(--paper); stroke-width: 4px; stroke-linejoin: round; }
.tick, .title { fill: var(--soft); } .axis { stroke: var(--soft); } .grid { stroke: var(--rule); }
.structured { --side: var(--structured); } .block { --side: var(--block); }
.unstructured { --side: var(--unstructured); }
.name { fill: var(--side); } .curve { stroke: var(--side); stroke-width: 2; fill: none; }
.dot { stroke: var(--side); stroke-width: 9; stroke-linecap: round; fill: none; }
"""

Curve = Sequence[tuple[float, float]]
"""Sparsity from 0 to 1, and speed over the dense model."""


def crossover(curves: Mapping[str, Curve], title: str, label: str) -> str:
    """A picture; what is slower than dense lies in the shaded field. Raises ValueError without any point."""
    points = [point for curve in curves.values() for point in curve]
    speeds = [speed for _, speed in points]
    x = LinearScale(min(sparsity for sparsity, _ in points) - 0.05, 1.0, _LEFT, WIDE - MARGIN - 90)
    y = LogScale(min(0.8, *speeds) / 1.15, max(1.25, *speeds) * 1.15, _BOTTOM, _TOP)
    parts = [
        element("style", Markup(_STYLE)),
        rectangle(0, 0, WIDE, _HEIGHT, "paper"),
        rectangle(_LEFT, y(1.0), x.end - _LEFT, _BOTTOM - y(1.0), "slower"),
        *axis(x, _TOP, _BOTTOM, "share that was removed", tick_text),
        *vertical_axis(y, _LEFT, x.end, title),
    ]
    taken: list[float] = []
    for kind, curve in sorted(curves.items(), key=lambda each: -each[1][-1][1]):
        parts += _curve(kind, [(x(sparsity), y(speed)) for sparsity, speed in curve], taken)
    return str(
        element(
            "svg", Markup().join(parts), xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {WIDE:g} {_HEIGHT:g}",
            role="img", aria_label=label,
        )
    )  # fmt: skip


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
