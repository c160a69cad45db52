"""Where a task's work lies under this machine's roofs, and plain bars: pure functions from numbers to SVG.

The roofline is that of Williams, Waterman and Patterson, CACM 52(4), 2009. Raises ValueError for numbers that no axis
can hold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from assay.report.axes import MARGIN, axis, inside, size_class, text_width, vertical_axis
from assay.report.scales import LogScale, tick_text
from assay.report.svg import dots, element, line, picture, rectangle, text
from assay.report.units import digits


def roofline(points: Mapping[str, Mapping[str, Any]], width: float) -> Markup:
    """Operations per second over operations per byte, under the roofs of memory and arithmetic.

    `points` are "baseline" and "candidate" of a certificate's roofline, with intensity and ridge.
    """
    any_point = points["candidate"]
    intensity, ridge = float(any_point["intensity"]), float(any_point["ridge"])
    memory = any_point["bytes_per_s"] / any_point["memory_fraction"]
    peak = memory * ridge
    rates = [float(point["flops_per_s"]) for point in points.values()]
    left, right, top, bottom = 58.0, width - MARGIN, 18.0, 292.0
    x = LogScale(min(intensity, ridge) / 6, max(intensity, ridge) * 6, left, right)
    y = LogScale(min(*rates, memory * x.low) / 2 / 1e9, peak * 3 / 1e9, bottom, top)
    roof = [(x.low, memory * x.low), (ridge, peak), (x.high, peak)]
    path = "M" + "L".join(f"{x(a):.1f} {y(b / 1e9):.1f}" for a, b in roof)
    parts = axis(x, top, bottom, "operations per necessary byte, log scale", tick_text)
    parts += vertical_axis(y, left, right, "Gop/s, log scale")
    parts += [element("path", d=path, class_="roof"), *_roof_labels(x, y, memory, peak, str(any_point["level"]), ridge)]
    parts.append(line(x(intensity), y(min(memory * intensity, peak) / 1e9), x(intensity), bottom, "guide"))
    parts += _roofline_points(points, x, y, intensity)
    shares = "; ".join(f"{name} {_share(point)}" for name, point in points.items())
    return picture(width, bottom + 44, f"Roofline. {shares}.", size_class(width), parts)


def _share(point: Mapping[str, Any]) -> str:
    """How much of the nearer roof a point reaches, in words."""
    limits_memory = point["ridge"] is None or point["intensity"] < point["ridge"]
    share = point["memory_fraction"] if limits_memory else point["compute_fraction"]
    return f"{share:.0%} of the {'memory' if limits_memory else 'arithmetic'} roof"


def _roofline_points(
    points: Mapping[str, Mapping[str, Any]], x: LogScale, y: LogScale, intensity: float
) -> list[Markup]:  # fmt: skip
    parts, taken, at = [], -math.inf, x(intensity)
    at_left = at > (x.start + x.end) / 2
    order = sorted(points.items(), key=lambda item: -float(item[1]["flops_per_s"]))
    for name, point in order:
        height = y(float(point["flops_per_s"]) / 1e9)
        taken = max(height + 4, taken + 17)
        css = "cand" if name == "candidate" else "base"
        style = f"label strong {css}-text"
        aside, anchor, room = (-10, "end", at - x.start) if at_left else (10, "start", x.end - at)
        words = f"{name}: {_share(point)}"
        if text_width(words, style) > room - 10:
            words = words.partition(" of ")[0]
        parts += [
            dots([(at, height)], f"dot huge {css}"),
            text(at + aside, taken, words, style, anchor),
        ]
    return parts


def _roof_labels(x: LogScale, y: LogScale, memory: float, peak: float, level: str, ridge: float) -> list[Markup]:
    rise = y(memory * x.low * 2 / 1e9) - y(memory * x.low / 1e9)
    angle = math.degrees(math.atan2(rise, x(x.low * 2) - x(x.low)))
    middle = math.sqrt(x.low * ridge)
    at_x, at_y = x(middle), y(memory * middle / 1e9) - 8
    turned = f"rotate({angle:.1f} {at_x:.1f} {at_y:.1f})"
    return [
        text(at_x, at_y, f"{level}: {digits(memory / 1e9)} GB/s", "label", "middle", transform=turned),
        text(x.end, y(peak / 1e9) - 8, f"arithmetic: {digits(peak / 1e9)} Gop/s", "label", "end"),
    ]


def bars(
    rows: Sequence[tuple[str, float, str, str]], roof: tuple[str, float] | None, width: float, unit: str
) -> Markup:
    """Horizontal bars from zero: (name, value, the value in words, style); `roof` is a line at the right."""
    longest = max([value for _, value, _, _ in rows] + ([roof[1]] if roof else []))
    if not 0 < longest < math.inf or min(value for _, value, _, _ in rows) < 0:
        raise ValueError("bars need values that are not negative, and one that is positive")
    right = width - MARGIN - (4 if roof else 0)
    parts: list[Markup] = []
    y = 4.0 + (18 if roof else 0)
    for name, value, words, css in rows:
        parts += [
            text(MARGIN, y + 14, name, f"label strong {css}-text"),
            text(right - (8 if roof else 0), y + 14, words, "label", "end"),
            rectangle(MARGIN, y + 20, (right - MARGIN) * value / longest, 14, f"bar {css}"),
        ]
        y += 46
    if roof:
        at = MARGIN + (right - MARGIN) * roof[1] / longest
        parts += [line(at, 20, at, y, "one"), inside(at, 14, roof[0], width)]
    label = f"Bars, {unit}: " + "; ".join(f"{name} {words}" for name, _, words, _ in rows)
    return picture(width, y + 4, label, size_class(width), parts)
