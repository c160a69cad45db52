"""The page's two pictures: the difference in quality with its limits and margin, and what the cheap model costs.

Pure functions from a certificate to SVG for a width in pixels. Raises ValueError for numbers that no axis can hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from assay.claims.quality import Margin
from assay.report.axes import MARGIN, axis, inside, size_class
from assay.report.scales import LinearScale, LogScale, tick_text
from assay.report.svg import dots, line, picture, rectangle, text
from assay.report.units import digits, interval_text, ratio_text

_ROW, _TOP = 46.0, 26.0


def quality_figure(claim: Mapping[str, Any], width: float) -> Markup:
    """Differences of every seed (or held-out batch), cheap less dense, the limits, and the margin."""
    quality, margin = claim["quality"], Margin.parse(claim["settings"]["margin"])
    units = unit_differences(claim, margin)
    values = [*units, quality["lower"], quality["upper"], margin.value, 0.0]
    reach = (max(values) - min(values)) * 0.08
    scale = LinearScale(min(values) - reach, max(values) + reach, MARGIN, width - MARGIN)
    bottom, y = _TOP + 96.0, _TOP + 78.0
    unit = "share of the dense model's loss" if margin.relative else claim["data"]["unit"] or "in the score's unit"
    parts = [rectangle(scale(margin.value), _TOP, scale.end - scale(margin.value), bottom - _TOP, "band")]
    parts += axis(scale, _TOP, bottom, f"cheap less dense: {unit}; left is better", tick_text)
    parts += [line(scale(margin.value), _TOP - 6, scale(margin.value), bottom, "one"),
              inside(scale(margin.value), 14, f"margin {margin}", width),
              line(scale(0.0), _TOP, scale(0.0), bottom, "guide")]  # fmt: skip
    step = 48.0 / max(len(units), 1)
    parts.append(dots([(scale(v), _TOP + 10 + (i + 0.5) * step) for i, v in enumerate(units)], "dot large cand"))
    parts += _interval(scale, quality["lower"], quality["difference"], quality["upper"], y)
    label = (f"Difference in quality {digits(quality['difference'])}, 95 % limits {digits(quality['lower'])} and "
             f"{digits(quality['upper'])}, margin {margin}.")  # fmt: skip
    return picture(width, bottom + 44, label, size_class(width), parts)


def cost_figure(claim: Mapping[str, Any], width: float) -> Markup:
    """Every known cost's ratio with its interval; claimed ones in the candidate's colour."""
    known = {name: found["ratio"] for name, found in claim["costs"].items() if found["ratio"] is not None}
    bound = float(claim["settings"]["at_most"])
    values = [value for ratio in known.values() for value in (ratio["lower"], ratio["upper"])] + [bound, 1.0]
    if min(values) <= 0:
        raise ValueError(f"a ratio must be positive: {min(values)}")
    scale = LogScale(min(values) / 1.15, max(values) * 1.15, MARGIN, width - MARGIN)
    bottom = _TOP + _ROW * len(known)
    parts = [rectangle(scale(bound), _TOP, scale.end - scale(bound), bottom - _TOP, "band")]
    parts += axis(scale, _TOP, bottom, "of the dense model's cost, log scale", lambda value: f"{tick_text(value)}x")
    parts += [line(scale(1.0), _TOP, scale(1.0), bottom, "guide"),
              line(scale(bound), _TOP - 6, scale(bound), bottom, "one"),
              inside(scale(bound), 14, f"claimed: below {digits(bound)}x", width)]  # fmt: skip
    words = []
    for row, (name, ratio) in enumerate(known.items()):
        css = "cand" if name in claim["settings"]["costs"] else "again"
        said = f"{name} {ratio_text(ratio['ratio'])} ({interval_text(ratio['lower'], ratio['upper'], ratio['ratio'])})"
        top = _TOP + row * _ROW
        parts.append(text(MARGIN + 4, top + 16, said, f"label strong {css}-text"))
        parts += _interval(scale, ratio["lower"], ratio["ratio"], ratio["upper"], top + 31, css)
        words.append(said)
    return picture(width, bottom + 44, f"Costs: {'; '.join(words)}.", size_class(width), parts)


def unit_differences(claim: Mapping[str, Any], margin: Margin) -> list[float]:
    """The mean difference of every seed, or of every held-out batch where there is one seed."""
    losses = claim["evidence"]["losses"]
    dense, cheap = (np.array(losses[side], dtype=np.float64) for side in ("dense", "cheap"))
    scale = dense.mean(axis=1, keepdims=True) if margin.relative else 1.0
    differences = (cheap - dense) / scale
    if len(differences) > 1:
        return [float(value) for value in differences.mean(axis=1)]
    batch = np.array(claim["evidence"]["batch"])
    return [float(differences[0][batch == number].mean()) for number in np.unique(batch)]


def _interval(
    scale: LinearScale | LogScale, lower: float, middle: float, upper: float, y: float, css: str = "cand"
) -> Sequence[Markup]:
    ends = [line(scale(value), y - 7, scale(value), y + 7, f"interval {css}") for value in (lower, upper)]
    return [line(scale(lower), y, scale(upper), y, f"interval {css}"), *ends,
            dots([(scale(middle), y)], f"dot estimate {css}")]  # fmt: skip
