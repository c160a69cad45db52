"""The family tree of ideas: who came from whom, each child below its parent, the way to the winner in bold.

An idea with two parents hangs below the better one; the other is named. Large families are cut to the best.
"""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from assay.engineer.page.figure import series
from assay.engineer.page.trail import Trail
from assay.report.axes import MARGIN, size_class, text_width
from assay.report.svg import dots, element, picture, text
from assay.report.units import plural, ratio_text

_MOST_ROWS = 40
_ROW, _TOP = 22.0, 14.0
_STEP_SHARE, _STEP = 0.045, 18.0
"""A generation's indent: so many pixels, and never more than a share of the width."""
_MOST_DEEP = 8
"""Generations that are indented; what comes later stays at the last indent."""


@dataclass(frozen=True, slots=True)
class Row:
    """An idea at its place: its number in the order of proposing, its generation, and the row of its parent."""

    identity: str
    number: int
    depth: int
    parent: int | None


def family(trail: Trail, winner: str, width: float) -> Markup | str:
    """The tree as a picture; words where there is no idea at all."""
    found = rows(trail, winner)
    if not found:
        return "Nothing was proposed."
    lineage = set(trail.lineage(winner))
    step = min(_STEP, width * _STEP_SHARE)
    at = [(MARGIN + 6 + min(row.depth, _MOST_DEEP) * step, _TOP + place * _ROW) for place, row in enumerate(found)]
    parts: list[Markup] = []
    for strong in (False, True):  # the bold way lies above the others
        parts += [
            _branch(at[row.parent], at[place], strong)
            for place, row in enumerate(found)
            if row.parent is not None and (row.identity in lineage) == strong
        ]
    for row, point in zip(found, at, strict=True):
        parts += _row(trail, row, point, row.identity in lineage, width)
    hidden = len(trail.origins) - len(found)
    label = f"Family tree of {plural(len(trail.origins), 'idea')}" + (f", {hidden} not shown." if hidden else ".")
    return picture(width, _TOP + len(found) * _ROW, label, f"{size_class(width)} tall", parts)


def rows(trail: Trail, winner: str) -> list[Row]:
    """Parents before children, the winner's line before its siblings; at most a page of them."""
    shown = _chosen(trail, winner)
    numbers = {identity: number for number, identity in enumerate(trail.origins, 1)}
    children: dict[str | None, list[str]] = {}
    for identity in shown:
        parent = trail.parent(identity)
        children.setdefault(parent if parent in shown else None, []).append(identity)
    lineage = set(trail.lineage(winner))
    for siblings in children.values():
        siblings.sort(key=lambda one: one not in lineage)
    found: list[Row] = []
    waiting: list[tuple[str, int, int | None]] = [(one, 0, None) for one in reversed(children.get(None, []))]
    while waiting:
        identity, depth, parent_row = waiting.pop()
        found.append(Row(identity, numbers[identity], depth, parent_row))
        waiting += [(one, depth + 1, len(found) - 1) for one in reversed(children.get(identity, []))]
    return found


def _chosen(trail: Trail, winner: str) -> list[str]:
    """In the order proposed: the winner's line, then the best with theirs, as many as there is room for."""
    chosen: set[str] = set()
    ranked = sorted(trail.origins, key=lambda one: -(trail.best(one) or 0.0))
    for identity in ([winner] if winner in trail.origins else []) + ranked:
        line = set(trail.lineage(identity))
        if not chosen or len(chosen | line) <= _MOST_ROWS:
            chosen |= line
    return [identity for identity in trail.origins if identity in chosen]


def _branch(start: tuple[float, float], end: tuple[float, float], strong: bool) -> Markup:
    """Down from the parent, then to the child; beside the parent where the indents have ended."""
    (x1, y1), (x2, y2) = start, end
    path = f"M{x1:.1f} {y1:.1f}V{y2:.1f}H{x2:.1f}"
    return element("path", d=path, class_="branch strong" if strong else "branch")


def _row(trail: Trail, row: Row, at: tuple[float, float], strong: bool, width: float) -> list[Markup]:
    idea, speed = trail.origins[row.identity], trail.best(row.identity)
    css = series(trail.proposers.index(idea.proposer))
    seen = trail.of(row.identity)
    failed = bool(seen) and not seen[-1].evaluation.passed
    score = "did not pass" if failed else ratio_text(speed) if speed else "not timed"
    style = "label strong" if strong else "label tick" if failed or speed is None else "label"
    others = [parent for parent in idea.parents if parent in trail.origins and parent != trail.parent(row.identity)]
    numbers = {identity: number for number, identity in enumerate(trail.origins, 1)}
    words = f"#{row.number} {idea.note or idea.proposer}" + "".join(f", crossed with #{numbers[one]}" for one in others)
    left, right = at[0] + 12, width - MARGIN
    room = right - text_width(score, style) - 14 - left
    return [
        dots([at], f"dot {'huge' if strong else 'large'} {css}"),
        text(left, at[1] + 4, _cut(words, room, style), style),
        text(right, at[1] + 4, score, style, "end"),
    ]


def _cut(words: str, room: float, style: str) -> str:
    """Words that fit, with a sign that some are missing."""
    if text_width(words, style) <= room:
        return words
    most = max(int(len(words) * room / text_width(words, style)) - 1, 1)
    return f"{words[:most].rstrip()}…"
