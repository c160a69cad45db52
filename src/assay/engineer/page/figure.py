"""The search's picture: every timed candidate over the seconds spent, and the best so far."""

from __future__ import annotations

from markupsafe import Markup

from assay.engineer.page.trail import Trail, Tried
from assay.report.axes import MARGIN, axis, size_class, vertical_axis
from assay.report.scales import LinearScale, LogScale, tick_text
from assay.report.svg import dots, line, picture
from assay.report.units import plural, ratio_text

_LEFT, _TOP, _BOTTOM = 46.0, 26.0, 300.0


def progress(trail: Trail, width: float) -> Markup | str:
    """Speedups as the search saw them, which claim nothing.

    Words instead where nothing was timed.
    """
    timed = [each for each in trail.tried if each.speedup is not None and not each.knockoff]
    if not timed:
        return "Nothing that was tried was right and could be timed."
    speeds = [each.speedup for each in timed if each.speedup is not None] + [1.0]
    across = LinearScale(0.0, max(each.seconds for each in trail.tried) * 1.02, _LEFT, width - MARGIN)
    up = LogScale(min(speeds) / 1.15, max(speeds) * 1.15, _BOTTOM, _TOP)
    parts = axis(across, _TOP, _BOTTOM, "seconds of search", tick_text)
    parts += vertical_axis(up, _LEFT, width - MARGIN, "speedup over eager (log scale)")
    parts.append(line(_LEFT, up(1.0), width - MARGIN, up(1.0), "one"))
    for fidelity, css in (("SCREEN", "dot large base"), ("SHORT", "dot large again"), ("FULL", "dot large cand")):
        points = [(across(t.seconds), up(t.speedup)) for t in timed if t.fidelity == fidelity and t.speedup]
        parts.append(dots(points, css))
    parts += _best_so_far(timed, across, up)
    label = f"{plural(len(timed), 'timing')} of candidates over the seconds; the best shows {ratio_text(max(speeds))}."
    return picture(width, _BOTTOM + 44, label, size_class(width), parts)


def _best_so_far(timed: list[Tried], across: LinearScale, up: LogScale) -> list[Markup]:
    """A staircase."""
    parts, best = [], None
    for each in timed:
        if each.speedup is None or (best is not None and each.speedup <= best[1]):
            continue
        if best is not None:
            parts.append(line(across(best[0]), up(best[1]), across(each.seconds), up(best[1]), "stair"))
            parts.append(line(across(each.seconds), up(best[1]), across(each.seconds), up(each.speedup), "stair"))
        best = (each.seconds, each.speedup)
    if best is not None:
        parts.append(line(across(best[0]), up(best[1]), across.end, up(best[1]), "stair"))
    return parts
