"""Arms over the share of weights that remains, as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from assay.report.axes import MARGIN, WIDE, axis, text_width, vertical_axis
from assay.report.scales import LinearScale, LogScale
from assay.report.svg import dots, element, line, text
from benchmarks.referee.pictures import stand_alone

_LEFT, _TOP, _BOTTOM, _HEIGHT, _LEGEND = 58.0, 52.0, 340.0, 386.0, 36.0
_COLOURS = {
    "dense": ("#4d5563", "#c3cad5"), "ticket": ("#1257c9", "#7fb0ff"), "new": ("#b3261e", "#ff8f87"),
    "chance": ("#8a5a00", "#e5b454"), "tuned": ("#0a7540", "#63cf98"),
}  # fmt: skip
_RULES = """
.dense, .longer { --side: var(--dense); } .rewound { --side: var(--ticket); } .reinitialised { --side: var(--new); }
.random { --side: var(--chance); } .fine-tuned { --side: var(--tuned); }
.name { fill: var(--side); } .error { stroke: var(--side); } .path { stroke: var(--side); stroke-width: 2; fill: none; }
.longer.path { stroke-dasharray: 3 4; } .reinitialised.path { stroke-dasharray: 9 3; }
.random.path { stroke-dasharray: 9 3 2 3; } .dense.path { stroke-dasharray: 6 5; }
.dot { stroke: var(--side); stroke-width: 7; stroke-linecap: round; fill: none; }
"""


@dataclass(frozen=True, slots=True)
class Point:
    """Weights that remain, in per cent; a value and the ends of its interval."""

    remaining: float
    value: float
    low: float
    high: float


def chart(arms: Mapping[str, Sequence[Point]], title: str, label: str) -> str:
    """A picture of every arm that has points; its class is the first word of its name, or `longer` for dense trained
    on.

    Raises ValueError where fewer than two different shares remain.
    """
    points = [point for each in arms.values() for point in each]
    shares = {point.remaining for point in points}
    if len(shares) < 2:
        raise ValueError("a line needs two shares at least")
    low, high = min(point.low for point in points), max(point.high for point in points)
    reach = max(high - low, 1e-6) * 0.04
    x = LogScale(min(shares) / 1.15, max(shares) * 1.15, _LEFT, WIDE - MARGIN)
    y = LinearScale(low - reach, high + reach, _BOTTOM, _TOP)
    parts = [
        *axis(x, _TOP, _BOTTOM, "weights that remain (%, log scale)", lambda value: f"{value:g}"),
        *vertical_axis(y, _LEFT, WIDE - MARGIN, title),
    ]
    at = 4.0
    for place, (name, each) in enumerate((name, each) for name, each in arms.items() if each):
        parts += _arm(each, _kind(name), x, y, 2.5 * (place - (len(arms) - 1) / 2))
        parts += [line(at, _LEGEND - 4, at + 18, _LEGEND - 4, f"path {_kind(name)}")]
        parts += [text(at + 22, _LEGEND, name, f"label name {_kind(name)}")]
        at += text_width(name, "label") + 38
    return stand_alone(parts, _HEIGHT, label, _COLOURS, _RULES)


def _arm(points: Sequence[Point], kind: str, x: LogScale, y: LinearScale, aside: float) -> list[Markup]:
    """A little aside of the others, so that intervals do not hide each other."""
    places = [(x(point.remaining) + aside, y(point.value)) for point in points]
    path = "M" + "L".join(f"{across:.1f} {up:.1f}" for across, up in places)
    bars = [
        line(across, y(point.low), across, y(point.high), f"error {kind}")
        for (across, _), point in zip(places, points, strict=True)
    ]
    return [element("path", d=path, class_=f"path {kind}"), *bars, dots(places, f"dot {kind}")]


def _kind(name: str) -> str:
    return "longer" if name.endswith("trained on") else name.split()[0]
