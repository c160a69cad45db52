"""Who watches a search: the live view on a terminal, else plain lines, one for every stage."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from assay.cli.live import LiveView
from assay.report.progress import ProgressLine
from assay.report.terminal import make_console
from assay.search import Event, EventKind


class Watcher(Protocol):
    """What `optimize` tells: stages by a call, a search's events by `event`."""

    def __call__(self, what: str, share: float, detail: str = "") -> None:
        """A stage, and which share of it is done."""
        ...

    def event(self, event: Event) -> None:
        """One event of the search."""
        ...

    def close(self) -> None:
        """Clear what is drawn, so that lines can be printed."""
        ...


class PlainLines:
    """For pipes and logs: a search is one stage among others, whatever goes on within it."""

    def __init__(self, line: ProgressLine) -> None:
        self._line, self._searching = line, False

    def __call__(self, what: str, share: float, detail: str = "") -> None:
        """A stage; those within an evaluation are passed over."""
        if not self._searching:
            self._line(what, share, detail)

    def event(self, event: Event) -> None:
        """The first one is a stage."""
        self._searching = event.kind is not EventKind.FINISHED
        self._line("searching", 0.0)

    def close(self) -> None:
        """Nothing is drawn."""
        self._line.close()


@contextmanager
def watching(budget_s: float) -> Iterator[Watcher]:
    """The watcher for this process's standard error, cleared at the end whatever happens."""
    console = make_console(stderr=True)
    live = console.is_terminal and not console.is_dumb_terminal and sys.stderr.isatty()
    watcher: Watcher = LiveView(console, budget_s) if live else PlainLines(ProgressLine())
    try:
        yield watcher
    finally:
        watcher.close()
