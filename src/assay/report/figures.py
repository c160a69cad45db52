"""The page's pictures, drawn from raw samples: pure functions from numbers to SVG, for a given width in pixels.

Times and speedups lie on logarithmic axes, where equal distances are equal ratios: the distance between two clouds of
times is the speedup. Every picture carries a label that says the same in words. Raises ValueError for numbers that no
axis can hold (a certificate may come from anybody).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from assay.referee.timing.samples import Floats, Side, Triples
from assay.report.axes import MARGIN, axis, beside, inside, size_class
from assay.report.evidence import RoundRatios
from assay.report.scales import LogScale, tick_text
from assay.report.svg import dots, line, picture, rectangle, text
from assay.report.units import digits, interval_text, plural, ratio_text, time_text, time_unit

_SIDES = (
    (Side.BASELINE, "baseline", "base"),
    (Side.BASELINE_AGAIN, "baseline again", "again"),
    (Side.CANDIDATE, "candidate", "cand"),
)
_ROW, _TOP = 88.0, 8.0
_GOLDEN = 0.6180339887498949
_BEYOND = 0.985
"""Calls slower than this quantile by 15 % are counted at the edge instead of squeezing all others."""


def call_times(triples: Triples, width: float) -> Markup:
    """Every timed call of each side as a dot; heights within a row only show how many are alike."""
    timed = triples.timed()
    wall, waited = timed.time_ns, timed.preempted()
    typical = float(np.median(wall))
    size, unit = time_unit(typical)
    high = min(float(wall.max()), float(np.quantile(wall, _BEYOND)) * 1.15)
    scale = LogScale(float(wall.min()) / 1.02 / size, high * 1.02 / size, MARGIN, width - MARGIN)
    bottom = _TOP + _ROW * len(_SIDES)
    parts = axis(scale, _TOP, bottom, f"time of one call ({unit}, log scale)", tick_text)
    words = []
    for row, (side, name, css) in enumerate(_SIDES):
        times = wall[:, side] / size
        parts += _row_of_calls(times, waited[:, side], scale, _TOP + row * _ROW, name, css, unit)
        words.append(f"{name}: median {time_text(float(np.median(wall[:, side])))}")
    label = f"Dot plot of {plural(len(wall), 'timed call')} of each side. {'; '.join(words)}."
    return picture(width, bottom + 44, label, size_class(width), parts)


def _row_of_calls(
    times: Floats, waited: np.ndarray[Any, Any], scale: LogScale, top: float, name: str, css: str, unit: str
) -> list[Markup]:
    median = float(np.median(times))
    beyond = times > scale.high
    x = np.array([scale(t) for t in times])
    y = top + 44 + _spread(x, 40.0)
    points = list(zip(x.tolist(), y.tolist(), strict=True))
    parts = [
        text(scale.start, top + 14, name, f"label strong {css}-text"),
        dots((p for p, w, b in zip(points, waited, beyond, strict=True) if w and not b), f"dot waited {css}"),
        dots((p for p, w, b in zip(points, waited, beyond, strict=True) if not w and not b), f"dot {css}"),
        line(scale(median), top + 22, scale(median), top + 66, f"median {css}"),
    ]
    parts += [text(scale.end, top + 14, f"median {digits(median)} {unit}", "label", "end")]
    if beyond.any():
        facts = f"{int(beyond.sum())} beyond, up to {digits(float(times.max()))} {unit} →"
        parts += [text(scale.end, top + 78, facts, "label tick", "end")]
    return parts


def _spread(x: Floats, height: float) -> Floats:
    """Offsets from a row's middle: dots in a crowd spread over more of the height, in no visible order."""
    bins = np.floor(x / 5.0).astype(np.int64)
    _, place, counts = np.unique(bins, return_inverse=True, return_counts=True)
    share = counts[place] / counts.max()
    order = np.modf(np.arange(len(x)) * _GOLDEN)[0] - 0.5
    return np.asarray(order * height * share, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Span:
    """An interval of speedups with its estimate."""

    ratio: float
    lower: float
    upper: float


def speedups(
    candidate: RoundRatios, same: RoundRatios, claimed: Span, faked: Span, resolution: float, width: float
) -> Markup:
    """The median speedup of every round, in their order from top to bottom, with both intervals and what A/A fakes."""
    values = [*candidate.ratios, *same.ratios, claimed.lower, claimed.upper, faked.lower, faked.upper,
              1 / (1 + resolution), 1 + resolution, 0.99, 1.01]  # fmt: skip
    low, high = float(min(values)), float(max(values))
    if low <= 0:
        raise ValueError(f"a speedup must be positive: {low}")
    reach = (high / low) ** 0.06
    scale = LogScale(low / reach, high * reach, MARGIN, width - MARGIN)
    top, depth = 26.0, 92.0
    bottom = top + 2 * depth
    left, right = scale(1 / (1 + resolution)), scale(1 + resolution)
    parts = [rectangle(left, top, right - left, bottom - top, "band")]
    parts += axis(scale, top, bottom, "times as fast as the baseline, log scale", lambda v: f"{tick_text(v)}x")
    parts += [
        line(scale(1.0), top - 6, scale(1.0), bottom, "one"),
        inside((left + right) / 2, 14, f"1x, and the {resolution:.1%} that this run can fake", width),
    ]
    for row, (rounds, span, name, css) in enumerate(
        ((same, faked, "baseline again", "again"), (candidate, claimed, "candidate", "cand"))
    ):
        parts += _row_of_rounds(rounds, span, scale, top + row * depth, f"{name}: {_interval_text(span)}", css)
    label = (
        f"Speedup by round. Candidate {_interval_text(claimed)}; baseline against itself {_interval_text(faked)}; "
        f"this run can fake {resolution:.1%}."
    )
    return picture(width, bottom + 44, label, size_class(width), parts)


def _row_of_rounds(rounds: RoundRatios, span: Span, scale: LogScale, top: float, name: str, css: str) -> list[Markup]:
    step = 38.0 / max(len(rounds.ratios), 1)
    points = [(scale(float(ratio)), top + 30 + (index + 0.5) * step) for index, ratio in enumerate(rounds.ratios)]
    y = top + 80.0
    left, right, middle = scale(span.lower), scale(span.upper), scale(span.ratio)
    ends = Markup().join(line(x, y - 8, x, y + 8, f"interval {css}") for x in (left, right))
    places = [left, right, *(x for x, _ in points)]
    style, width = f"label strong {css}-text", scale.end + MARGIN
    return [
        beside(min(places), max(places), top + 53, name, width, style) or inside(middle, top + 18, name, width, style),
        dots(points, f"dot large {css}"),
        line(left, y, right, y, f"interval {css}"),
        ends,
        dots([(middle, y)], f"dot estimate {css}"),
    ]


def _interval_text(span: Span) -> str:
    return f"{ratio_text(span.ratio)} ({interval_text(span.lower, span.upper, span.ratio)})"
