"""Lines in processes of one thread each, several at once; the parent alone writes results."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from multiprocessing import get_context

import torch

from benchmarks.tickets.images import Parts, load_parts
from benchmarks.tickets.lines import LINES, Row, Run
from benchmarks.tickets.record import Record
from benchmarks.tickets.settings import Settings

Load = Callable[[Settings], Parts]

_parts: Parts | None = None
"""A worker's images, read once."""


def run_all(record: Record, settings: Settings, workers: int, load: Load = load_parts) -> None:
    """Everything that is missing. Killed at any moment, it loses the lines in flight only.

    A line that fails with an exception ends the command with it. `load` is called in every worker.
    """
    todo, begun = record.missing(), time.monotonic()
    if not todo:
        print("nothing is missing", flush=True)
        return
    with get_context("spawn").Pool(workers, _start, (settings, load)) as pool:
        done = pool.imap_unordered(_work, [(run, settings) for run in todo])
        for count, (run, rows) in enumerate(done, 1):
            record.add(run, rows)
            left = (time.monotonic() - begun) / count * (len(todo) - count) / 60
            spent = sum(row["cpu_s"] for row in rows)
            print(f"[{count}/{len(todo)}] {run.name}: {spent:.0f} s of CPU; {left:.0f} min left", flush=True)


def _start(settings: Settings, load: Load) -> None:
    global _parts
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it too, and ends its workers
    torch.set_num_threads(1)
    _parts = load(settings)


def _work(task: tuple[Run, Settings]) -> tuple[Run, list[Row]]:
    run, settings = task
    assert _parts is not None, "a worker starts by reading the images"
    return run, LINES[run.line](run.seed, _parts, settings, _say)


def _say(words: str) -> None:
    print(words, flush=True)
