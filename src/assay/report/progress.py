"""Progress on one line, drawn only when it is called: a refreshing thread would disturb what is being measured.

On a terminal the line is redrawn at most ten times a second, 0.1 ms each; elsewhere every stage is one line, once.
The time left is that of the present stage, from its own pace: what later stages will take is not known.
"""

from __future__ import annotations

import io
import shutil
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

from assay.report.hostile import one_line
from assay.report.units import seconds_text

_LEAST_S = 0.1
_SHARE_TO_EXTRAPOLATE, _SECONDS_TO_EXTRAPOLATE = 0.03, 1.0
_ERASE_LINE = "\r\x1b[K"


class ProgressLine:
    """A callback `(what, share, detail)` and a context manager that clears its line at the end.

    Args:
        stream: where to write; stderr as it is now without one.
        clock: seconds, for tests.
    """

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._live = self._stream.isatty()
        self._started = self._stage_started = clock()
        self._stage, self._detail, self._first_share = "", "", 0.0
        self._drawn_at = float("-inf")

    def __call__(self, what: str, share: float, detail: str = "") -> None:
        """Tell what is being done and which share of it is done, 0 to 1; `detail` may change within a stage."""
        self._detail = detail
        now = self._clock()
        is_new = what != self._stage
        if is_new:
            self._stage, self._stage_started, self._first_share = what, now, share
        if self._live and (is_new or now - self._drawn_at >= _LEAST_S):
            self._drawn_at = now
            self._write(_ERASE_LINE + self._line(share, now))
        elif is_new and not self._live:
            self._write(f"{one_line(what, 200)} (after {seconds_text(now - self._started)})\n")

    def close(self) -> None:
        """Clear the line."""
        if self._live and self._stage:
            self._write(_ERASE_LINE)
        self._stage = ""

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _line(self, share: float, now: float) -> str:
        parts = [one_line(self._stage, 200)]
        if share > 0:
            parts.append(f"{min(share, 1.0):.0%}")
        parts.append(f"{seconds_text(now - self._started)} elapsed")
        left = self._left_s(share, now)
        if left is not None:
            parts.append(f"about {seconds_text(left)} left of this")
        if self._detail:
            parts.append(one_line(self._detail, 200))
        return ", ".join(parts)[: max(shutil.get_terminal_size().columns - 1, 20)]

    def _left_s(self, share: float, now: float) -> float | None:
        """From the pace since this stage began; None before that says anything."""
        done, passed = share - self._first_share, now - self._stage_started
        if done < _SHARE_TO_EXTRAPOLATE or passed < _SECONDS_TO_EXTRAPOLATE or share >= 1:
            return None
        return passed / done * (1 - share)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._live, self._stream = False, io.StringIO()  # a closed stderr must not end a judgement
