"""A call's time before and after: every way to run the reference that was tried, and the candidate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from assay.referee.timing.samples import Side
from assay.report.axes import NARROW, WIDE
from assay.report.evidence import read_samples
from assay.report.roofline import bars
from assay.report.units import time_text


def medians_ns(certificate: Mapping[str, Any]) -> dict[str, float]:
    """Median call times, "candidate" and one for each variant that worked; the baseline's is that beside the candidate.

    Empty where the candidate was not timed.
    """
    if certificate["timing"] is None or certificate["baseline"] is None:
        return {}
    wall = read_samples(certificate).timed().time_ns
    variants = {each["variant"]: float(each["median_ns"]) for each in certificate["baseline"]["considered"]
                if each["median_ns"] is not None}  # fmt: skip
    baseline = {certificate["baseline"]["variant"]: float(np.median(wall[:, Side.BASELINE]))}
    return variants | baseline | {"candidate": float(np.median(wall[:, Side.CANDIDATE]))}


def before_and_after(certificate: Mapping[str, Any]) -> tuple[Markup, str] | None:
    """Bars and the words below them; None where the candidate was not timed."""
    medians = medians_ns(certificate)
    if not medians:
        return None
    chosen = certificate["baseline"]["variant"]
    rows = []
    for name, median in sorted(medians.items(), key=lambda item: -item[1]):
        css = {"candidate": "cand", chosen: "base"}.get(name, "again")
        words = {"candidate": "this kernel", chosen: f"{name} (the baseline)"}.get(name, name)
        rows.append((words, median, time_text(median), css))
    drawn = Markup().join(bars(rows, None, width, "time of a call") for width in (WIDE, NARROW))
    return drawn, (
        "Median time of a call, the shell's own cost included. The kernel and its baseline were timed in turns on the "
        "same inputs, the other ways when the baseline was chosen."
    )
