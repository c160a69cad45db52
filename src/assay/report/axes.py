"""Axes, their numbers, and labels that stay inside the picture."""

from __future__ import annotations

from collections.abc import Callable

from markupsafe import Markup

from assay.report.scales import LogScale, tick_text
from assay.report.svg import CHARACTER_PX, line, text

WIDE, NARROW = 720.0, 340.0
"""Pictures are drawn twice: text of 13 px stays readable on a desk and on a phone; the page's styles show one."""

MARGIN = 10.0
_TICK_PX = 64.0


def axis(scale: LogScale, top: float, bottom: float, title: str, words: Callable[[float], str]) -> list[Markup]:
    """Vertical grid lines, their numbers below, the title below those."""
    ticks = scale.ticks(max(3, int(abs(scale.end - scale.start) / _TICK_PX)))
    parts = [line(scale.start, bottom, scale.end, bottom, "axis")]
    for value in ticks:
        parts += [line(scale(value), top, scale(value), bottom, "grid")]
        parts += [inside(scale(value), bottom + 17, words(value), scale.end + MARGIN, "label tick")]
    return [*parts, text((scale.start + scale.end) / 2, bottom + 36, title, "label title", "middle")]


def vertical_axis(scale: LogScale, left: float, right: float, title: str) -> list[Markup]:
    parts = [line(left, scale.start, left, scale.end, "axis")]
    for value in scale.ticks(6):
        parts += [line(left, scale(value), right, scale(value), "grid")]
        parts += [text(left - 6, scale(value) + 4, tick_text(value), "label tick", "end")]
    return [*parts, text(4, 12, title, "label title")]


def inside(x: float, y: float, words: str, width: float, css: str = "label") -> Markup:
    """Words centred on a point, moved sideways as far as they must to stay inside."""
    half = len(words) * CHARACTER_PX / 2
    return text(min(max(x, half + 2), width - half - 2), y, words, css, "middle")


def size_class(width: float) -> str:
    """The class by which the page's styles choose between both widths."""
    return "figure wide" if width > (WIDE + NARROW) / 2 else "figure narrow"
