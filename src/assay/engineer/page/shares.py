"""A whole's time before and after, part by part: what is predicted from the parts' shares, and what was measured.

A part with a share s that becomes k times as fast leaves 1 - s + s / k of the time (Amdahl 1967).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from assay.engineer.page.figure import series
from assay.engineer.places import APPLIED, EAGER
from assay.report.axes import MARGIN, size_class, text_width
from assay.report.svg import line, picture, rectangle, text
from assay.report.units import ratio_text, time_text

_BAR, _ROW = 26.0, 56.0


@dataclass(frozen=True, slots=True)
class Share:
    """A part's share of the time before, 0 to 1, and how much faster than eager it has become; 1 where it stayed."""

    name: str
    share: float
    gain: float = 1.0

    @property
    def left(self) -> float:
        """Of the whole time before."""
        return self.share / self.gain


def rest(shares: Sequence[Share]) -> float:
    """What belongs to no part."""
    return max(1.0 - sum(each.share for each in shares), 0.0)


def predicted(shares: Sequence[Share]) -> float:
    """What is left of the time when every part has its gain."""
    return sum(each.left for each in shares) + rest(shares)


def amdahl(shares: Sequence[Share], whole: Mapping[str, Any] | None, width: float) -> Markup:
    """Bars of equal scale: before; predicted, where a part has a gain; measured, where `whole` says so.

    `whole` is a `Timed` as JSON.
    """
    full, times = width - 2 * MARGIN, dict(whole["milliseconds"]) if whole else {}
    unit = times.pop(EAGER, None)
    longest = max(1.0, *(ms / unit for ms in times.values())) if unit else 1.0
    parts: list[Markup] = []
    y = 4.0
    stacks = (("before, in eager PyTorch", [each.share for each in shares], 1.0),
              ("predicted from the shares", [each.left for each in shares], predicted(shares)))  # fmt: skip
    gained = any(each.gain != 1 for each in shares)
    for name, sizes, total in stacks if gained else stacks[:1]:
        parts += _heading(name, _time(total, unit), y, width)
        parts += _stack([*sizes, rest(shares)], y + 20, full / longest)
        y += _ROW
    for name, ms in sorted(times.items(), key=lambda one: one[0] == APPLIED):
        shown, css = ("with the kernels", "base") if name == APPLIED else (name, "again")
        parts += _heading(f"{shown}, measured", time_text(ms * 1e6), y, width)
        parts.append(rectangle(MARGIN, y + 20, full / longest * ms / unit, _BAR, f"bar {css}"))
        y += _ROW
    legend, bottom = _legend(shares, y + 14, width)
    label = "Time of the whole, part by part: " + "; ".join(f"{each.name} {each.share:.0%}" for each in shares)
    label += f"; {predicted(shares):.0%} of it is predicted to be left." if gained else "."
    return picture(width, bottom, label, size_class(width), [*parts, *legend])


def _heading(name: str, words: str, y: float, width: float) -> list[Markup]:
    return [text(MARGIN, y + 14, name, "label strong"), text(width - MARGIN, y + 14, words, "label", "end")]


def _time(share: float, unit: float | None) -> str:
    return f"{share:.0%}" if unit is None else f"{time_text(share * unit * 1e6)}, {share:.0%}"


def _stack(sizes: Sequence[float], y: float, full: float) -> list[Markup]:
    """The parts beside each other, what belongs to none last."""
    parts, x = [], MARGIN
    for number, size in enumerate(sizes):
        css = "share rest" if number == len(sizes) - 1 else f"share {series(number)}"
        parts.append(rectangle(x, y, full * size, _BAR, css))
        x += full * size
    return parts


def _legend(shares: Sequence[Share], top: float, width: float) -> tuple[list[Markup], float]:
    rows = [(each.name, f"{each.share:.0%}, {ratio_text(each.gain)}" if each.gain != 1 else f"{each.share:.0%}, stays",
             series(number)) for number, each in enumerate(shares)]  # fmt: skip
    if rest(shares) > 0.005:
        rows.append(("all else", f"{rest(shares):.0%}, stays", "again"))
    parts: list[Markup] = []
    for row, (name, words, css) in enumerate(rows):
        y = top + row * 20
        room = width - 2 * MARGIN - 40 - text_width(words, "label")
        fits = name if text_width(name, "label") <= room else f"{name[: int(room / 7.2) - 1]}…"
        parts += [line(MARGIN, y - 4, MARGIN + 18, y - 4, f"key {css}"), text(MARGIN + 26, y, fits, "label"),
                  text(width - MARGIN, y, words, "label", "end")]  # fmt: skip
    return parts, top + len(rows) * 20
