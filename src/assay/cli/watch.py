"""A search's events on the line that shows progress."""

from __future__ import annotations

import math
import time

from assay.report.progress import ProgressLine
from assay.search import Event, EventKind


class Watch:
    """Shows a search's events as progress: the share of the budget, what was tried, the best so far."""

    def __init__(self, progress: ProgressLine, budget_s: float) -> None:
        self._progress, self._budget_s, self._started = progress, budget_s, time.monotonic()
        self._best, self._tried, self._wrong = 0.0, 0, 0

    def __call__(self, event: Event) -> None:
        """One event."""
        if event.evaluation is not None and event.kind is EventKind.EVALUATED:
            self._tried += 1
            self._wrong += not event.evaluation.passed
            if event.evaluation.score is not None:
                self._best = max(self._best, event.evaluation.score)
        if event.kind is EventKind.FINISHED:
            self._best = 0.0  # the next part begins
        shown = f"best so far {math.exp(self._best):.2f}x over eager, unconfirmed"
        best = shown if self._best else "nothing faster than eager yet"
        wrong = f", {self._wrong} wrong" if self._wrong else ""
        share = (time.monotonic() - self._started) / self._budget_s
        self._progress("searching", min(share, 0.99), f"{self._tried} evaluations{wrong}, {best}")
