"""A search as it runs, on a terminal: the best, the budget, who brought what, what is tried now, the last results.

Drawn only when it is called, at most twice a second and some 2 ms each: a refreshing thread would disturb what is being
measured. Between calls of a long evaluation the clock in it stands still.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from assay.cli.tally import Brought, Seen, Tally
from assay.report.hostile import one_line
from assay.report.units import ratio_text, seconds_text
from assay.search import Event, EventKind

_LEAST_S = 0.5
_LONGEST = 200


class LiveView:
    """`progress` for stages, `event` for a search's events; `close` clears it, and the next call draws it again.

    Args:
        console: a terminal.
        budget_s: what the bar counts to.
        clock: seconds, for tests.
    """

    def __init__(self, console: Console, budget_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._budget_s, self._clock = console, budget_s, clock
        self._started, self._drawn_at = clock(), -math.inf
        self._tally, self._finished = Tally(), False
        self._stage, self._searching = "", False
        self._live: Live | None = None

    def __call__(self, what: str, share: float, detail: str = "") -> None:
        """A stage around the search, or within the present evaluation, and which share of it is done."""
        is_new = not self._stage.startswith(what)
        self._stage = what + (f" {min(share, 1.0):.0%}" if share > 0 else "") + (f", {detail}" if detail else "")
        self._draw(at_once=is_new and not self._searching)

    def event(self, event: Event) -> None:
        """Of a search; the first one after another's last begins a new tally."""
        if self._finished:
            self._tally, self._finished = Tally(), False
        self._searching, self._stage = event.kind is not EventKind.FINISHED, ""
        self._finished = not self._searching
        self._tally(event)
        self._draw(at_once=event.kind is EventKind.STARTED)

    def close(self) -> None:
        """Clear it, so that lines can be printed."""
        if self._live is not None:
            live, self._live = self._live, None
            try:
                live.stop()
            except (OSError, ValueError):
                self._console = Console(quiet=True)

    def _draw(self, *, at_once: bool) -> None:
        now = self._clock()
        if not at_once and now - self._drawn_at < _LEAST_S:
            return
        self._drawn_at = now
        try:
            if self._live is None:
                self._live = Live(console=self._console, auto_refresh=False, transient=True, redirect_stdout=False,
                                  redirect_stderr=False)  # fmt: skip
                self._live.start()
            self._live.update(self.renderable(), refresh=True)
        except (OSError, ValueError):  # a closed terminal must not end a search
            self._console, self._live = Console(quiet=True), None

    def renderable(self) -> RenderableType:
        """What is drawn now."""
        tally = self._tally
        parts: list[RenderableType] = [_best(tally), _bar(self._clock() - self._started, self._budget_s)]
        if tally.proposers:
            parts.append(_proposers(tally.proposers))
        doing, stage = self._doing()
        parts.append(_row("now", Text(doing), stage))
        parts += [_result(seen, "last  " if number == 0 else "      ") for number, seen in
                  enumerate(reversed(tally.recent))]  # fmt: skip
        return Group(*parts)

    def _doing(self) -> tuple[str, str]:
        """What is tried or done, and the stage that this has come to."""
        if self._searching:
            return one_line(self._tally.now, _LONGEST), one_line(self._stage, _LONGEST)
        return one_line(self._stage or "beginning", _LONGEST), ""


def _line(*parts: tuple[str, str]) -> Text:
    """One line of words in their styles, cut where the terminal ends."""
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")


def _best(tally: Tally) -> Text:
    if tally.best is None:
        return _line(("best  ", "bold"), ("nothing right and timed yet", "dim"))
    style = "bold green" if tally.best > 1 else "bold"
    return _line(("best  ", "bold"), (ratio_text(tally.best), style), (" over eager, unconfirmed; ", "dim"),
                 (one_line(tally.best_words, _LONGEST), ""))  # fmt: skip


def _bar(elapsed: float, budget: float) -> Table:
    left = f"{seconds_text(budget - elapsed)} left" if elapsed <= budget else f"{seconds_text(elapsed - budget)} over"
    bar = ProgressBar(total=budget, completed=min(elapsed, budget), complete_style="cyan", finished_style="yellow")
    return _row("time", bar, f"{left} of {seconds_text(budget)}")


def _row(name: str, middle: RenderableType, right: str) -> Table:
    """A name, what takes the room that there is, and words at the right that are never cut."""
    grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
    grid.add_column(no_wrap=True, width=4)
    grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    grid.add_column(no_wrap=True, justify="right")
    grid.add_row(Text(name, "bold"), middle, Text(right, "dim"))
    return grid


def _proposers(proposers: dict[str, Brought]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("      proposer", no_wrap=True, overflow="ellipsis")
    for heading in ("ideas", "right", "failed", "best"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, brought in proposers.items():
        best = Text("") if brought.best is None else Text(ratio_text(math.exp(brought.best)))
        counts = (str(brought.ideas), str(len(brought.right)), str(len(brought.failed)))
        table.add_row(Text(f"      {one_line(name, 40)}"), *counts, best)
    return table


def _result(seen: Seen, lead: str) -> Text:
    mark, style = ("failed", "red") if seen.speedup is None else (ratio_text(seen.speedup), "green")
    return _line((lead, "bold"), (f"{mark:<7} ", style if seen.speedup is None or seen.speedup > 1 else ""),
                 (f"{one_line(seen.proposer, 40)} ", "dim"), (one_line(seen.words, _LONGEST), ""))  # fmt: skip
