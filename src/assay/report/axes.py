"""Axes, their numbers, and labels that stay inside the picture."""

from __future__ import annotations

from collections.abc import Callable

from markupsafe import Markup

from assay.report.scales import LinearScale, LogScale, tick_text
from assay.report.svg import CHARACTER_PX, STRONG_PX, line, text

WIDE, NARROW = 720.0, 340.0
"""Pictures are drawn twice: text of 13 px stays readable on a desk and on a phone; the page's styles show one."""

MARGIN = 10.0
_TICK_PX = 64.0


def axis(
    scale: LogScale | LinearScale, top: float, bottom: float, title: str, words: Callable[[float], str]
) -> list[Markup]:
    """Vertical grid lines, their numbers below, the title below those."""
    ticks = scale.ticks(max(3, int(abs(scale.end - scale.start) / _TICK_PX)))
    parts = [line(scale.start, bottom, scale.end, bottom, "axis")]
    for value in ticks:
        parts += [line(scale(value), top, scale(value), bottom, "grid")]
        parts += [inside(scale(value), bottom + 17, words(value), scale.end + MARGIN, "label tick")]
    return [*parts, inside((scale.start + scale.end) / 2, bottom + 36, title, scale.end + MARGIN, "label title")]


def vertical_axis(scale: LogScale | LinearScale, left: float, right: float, title: str) -> list[Markup]:
    """Horizontal grid lines with their numbers at the left; the title lies above."""
    parts = [line(left, scale.start, left, scale.end, "axis")]
    for value in scale.ticks(6):
        parts += [line(left, scale(value), right, scale(value), "grid")]
        parts += [text(left - 6, scale(value) + 4, tick_text(value), "label tick", "end")]
    return [*parts, text(4, 12, title, "label title")]


def inside(x: float, y: float, words: str, width: float, css: str = "label") -> Markup:
    """Words centred on a point, moved sideways as far as they must to stay inside."""
    half = text_width(words, css) / 2
    return text(min(max(x, half + 2), width - half - 2), y, words, css, "middle")


def beside(left: float, right: float, y: float, words: str, width: float, css: str) -> Markup | None:
    """Words right of something that reaches from `left` to `right`, else left of it; None where neither has room."""
    needed = text_width(words, css) + 12
    if right + needed <= width:
        return text(right + 12, y, words, css)
    return text(left - 12, y, words, css, "end") if left >= needed else None


def text_width(words: str, css: str) -> float:
    """About the pixels that words take."""
    return len(words) * (STRONG_PX if "strong" in css else CHARACTER_PX)


def size_class(width: float) -> str:
    """The class by which the page's styles choose between both widths."""
    return "figure wide" if width > (WIDE + NARROW) / 2 else "figure narrow"
