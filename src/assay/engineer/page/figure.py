"""Speedup over cost: every timed candidate over the seconds spent, and each proposer's best so far."""

from __future__ import annotations

from markupsafe import Markup

from assay.engineer.page.trail import Trail, Tried
from assay.report.axes import MARGIN, axis, size_class, text_width, vertical_axis
from assay.report.scales import LinearScale, LogScale, tick_text
from assay.report.svg import dots, element, line, picture, text
from assay.report.units import plural, ratio_text
from assay.search import Fidelity

_LEFT, _TOP, _BOTTOM = 46.0, 26.0, 300.0
_SERIES = 4
"""Colours that the page's styles have; further proposers begin again with the first, in broken lines."""


def series(number: int) -> str:
    """The class of the proposer with this number."""
    return f"s{number % _SERIES}" + (" broken" if number >= _SERIES else "")


def progress(trail: Trail, width: float) -> Markup | str:
    """Speedups as the search saw them, which claim nothing.

    Words instead where nothing was timed.
    """
    timed = {name: found for name in trail.proposers if (found := trail.timed(name))}
    if not timed:
        return "Nothing that was tried was right and could be timed."
    speeds = [each.speedup for found in timed.values() for each in found if each.speedup is not None]
    bottom, legend = _BOTTOM, _legend(list(timed), trail, _BOTTOM + 62, width)
    across = LinearScale(0.0, max(each.seconds for each in trail.tried) * 1.02, _LEFT, width - MARGIN)
    up = LogScale(min(*speeds, 1.0) / 1.15, max(*speeds, 1.0) * 1.15, bottom, _TOP)
    parts = axis(across, _TOP, bottom, "seconds of search", tick_text)
    parts += vertical_axis(up, _LEFT, width - MARGIN, "speedup over eager (log scale)")
    parts.append(line(_LEFT, up(1.0), width - MARGIN, up(1.0), "one"))
    parts += _failures(trail, across, bottom)
    for name, found in timed.items():
        css = series(trail.proposers.index(name))
        parts += [_best_so_far(found, across, up, css), *_dots(found, across, up, css)]
    label = f"{plural(len(speeds), 'timing')} of candidates over the seconds; the best shows {ratio_text(max(speeds))}."
    return picture(width, bottom + 44 + legend[1], label, size_class(width), [*parts, *legend[0]])


def _dots(timed: list[Tried], across: LinearScale, up: LogScale, css: str) -> list[Markup]:
    """Small ones for screenings, large ones for what was timed in full."""
    found = []
    for size, full in (("large faint", False), ("huge", True)):
        points = [(across(each.seconds), up(each.speedup)) for each in timed
                  if each.speedup and (each.evaluation.fidelity is Fidelity.FULL) == full]  # fmt: skip
        found += [dots(points, f"dot {size} {css}")] if points else []
    return found


def _failures(trail: Trail, across: LinearScale, bottom: float) -> list[Markup]:
    """A stroke on the axis for each evaluation that did not pass."""
    failed = [across(each.seconds) for each in trail.tried if not each.evaluation.passed]
    return [line(at, bottom - 9, at, bottom, "failure") for at in failed]


def _best_so_far(timed: list[Tried], across: LinearScale, up: LogScale, css: str) -> Markup:
    """A staircase, drawn as one path."""
    path, best = "", 0.0
    for each in timed:
        if each.speedup is not None and each.speedup > best:
            x, y = across(each.seconds), up(each.speedup)
            path += f"H{x:.1f}V{y:.1f}" if path else f"M{x:.1f} {y:.1f}"
            best = each.speedup
    return element("path", d=f"{path}H{across.end:.1f}", class_=f"stair {css}")


def _legend(names: list[str], trail: Trail, top: float, width: float) -> tuple[list[Markup], float]:
    """Who is who, below the picture, and how high that is; nothing where there is one only."""
    if len(names) < 2:
        return [], 0.0
    parts: list[Markup] = []
    x, y = MARGIN, top
    for name in names:
        room = text_width(name, "label") + 46
        if x > MARGIN and x + room > width:
            x, y = MARGIN, y + 20
        parts += [
            line(x, y - 4, x + 22, y - 4, f"stair {series(trail.proposers.index(name))}"),
            text(x + 28, y, name, "label"),
        ]
        x += room
    return parts, y - top + 26
