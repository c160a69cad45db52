"""Loss curves with and without certified kernels, as a picture: the means over the seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from assay.report.axes import MARGIN, axis, size_class, text_width, vertical_axis
from assay.report.scales import LinearScale, LogScale, tick_text
from assay.report.svg import element, line, picture, text

_LEFT, _TOP, _BOTTOM = 56.0, 26.0, 260.0
_MOST_POINTS = 120
_SIDES = (("original", "as it was", "s1 under"), ("applied", "with the kernels", "s0"))
"""The original's line is drawn first and wider: where both learn alike, it shows on both sides of the other."""


def loss_curves(curves: Mapping[str, Any], width: float) -> Markup | str:
    """`curves` are a `Curves` as JSON: losses [seeds, steps] of both sides.

    Words instead where a loss is not a positive number, which a logarithmic axis cannot show.
    """
    losses = {side: _thinned(np.mean(curves[side], axis=0)) for side, _, _ in _SIDES}
    everything = np.concatenate(list(losses.values()))
    if not (np.isfinite(everything).all() and (everything > 0).all()):
        return "Some loss is zero, negative or not a number; result.json has them all."
    steps = len(curves["original"][0])
    across = LinearScale(0.0, float(steps), _LEFT, width - MARGIN)
    up = LogScale(float(everything.min()) / 1.05, float(everything.max()) * 1.05, _BOTTOM, _TOP)
    parts = axis(across, _TOP, _BOTTOM, "training steps", tick_text)
    parts += vertical_axis(up, _LEFT, width - MARGIN, "mean loss over the seeds (log scale)")
    x = MARGIN
    for side, name, css in _SIDES:
        parts.append(_path(losses[side], across, up, css))
        y = _BOTTOM + 62
        parts += [line(x, y - 4, x + 22, y - 4, f"stair {css}"), text(x + 28, y, name, "label")]
        x += text_width(name, "label") + 46
    ends = ", ".join(f"{name} {losses[side][-1]:.4g}" for side, name, _ in _SIDES)
    label = f"Mean loss over {len(curves['original'])} seeds and {steps} steps; at the end {ends}."
    return picture(width, _BOTTOM + 72, label, size_class(width), parts)


def _thinned(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Means of equal stretches, as many as can be seen."""
    return np.array([stretch.mean() for stretch in np.array_split(values, min(_MOST_POINTS, len(values)))])


def _path(losses: np.ndarray, across: LinearScale, up: LogScale, css: str) -> Markup:
    """A point in the middle of each stretch."""
    steps = (np.arange(len(losses)) + 0.5) * across.high / len(losses)
    points = " ".join(f"{across(float(at)):.1f} {up(float(loss)):.1f}" for at, loss in zip(steps, losses, strict=True))
    return element("path", d=f"M{points}", class_=f"stair {css}")
