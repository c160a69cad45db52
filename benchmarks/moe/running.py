"""Runs in processes of one thread each, several at once; the parent alone writes results."""

from __future__ import annotations

import time
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path
from queue import SimpleQueue

import torch

from benchmarks.moe.checkpoint import save_checkpoint
from benchmarks.moe.plan import next_runs, total_runs
from benchmarks.moe.record import Record, Row
from benchmarks.moe.settings import Arm, Settings
from benchmarks.moe.text import Corpus, load_corpus
from benchmarks.moe.training import Run, train

_corpus: Corpus | None = None
"""A worker's text, read once."""


def run_all(record: Record, settings: Settings, arms: Sequence[Arm], text: Path | None, workers: int) -> None:
    """Everything that these arms still lack. Killed at any moment, it loses the runs in flight only.

    A run that fails with an exception ends the command with it.
    """
    progress, ended = _Progress(record, arms, settings), SimpleQueue[Row | BaseException]()
    running: set[str] = set()
    with get_context("spawn").Pool(workers, _start, (settings, text)) as pool:
        while True:
            ready = next_runs(record.rows, arms, settings, record.matched)
            waiting = [run for run in ready if run.name not in running]
            for run in waiting[: workers - len(running)]:
                running.add(run.name)
                pool.apply_async(_work, (run, settings), callback=ended.put, error_callback=ended.put)
            if not running:
                return
            row = ended.get()
            if isinstance(row, BaseException):
                raise row
            running.remove(row["name"])
            record.add(row)
            progress.say(row)


class _Progress:
    """A line for each run, with the time left as the runs so far suggest."""

    def __init__(self, record: Record, arms: Sequence[Arm], settings: Settings) -> None:
        self._record, self._names = record, {arm.name for arm in arms}
        self._total = total_runs(arms, settings)
        self._begun, self._first = time.monotonic(), self._count()

    def _count(self) -> int:
        return sum(row["arm"] in self._names for row in self._record.rows)

    def say(self, row: Row) -> None:
        count = self._count()
        each = (time.monotonic() - self._begun) / (count - self._first)
        bits = "diverged" if row["bits"] is None else f"{row['bits']:.4f} bits per byte"
        left = f"{each * (self._total - count) / 60:.0f} min left"
        print(f"[{count}/{self._total}] {row['name']}: {bits}, {row['cpu_s']:.0f} s of CPU; {left}", flush=True)


def _start(settings: Settings, text: Path | None) -> None:
    global _corpus
    torch.set_num_threads(1)
    _corpus = load_corpus(settings, text)


def _work(run: Run, settings: Settings) -> Row:
    assert _corpus is not None, "a worker starts by reading the text"
    model, row = train(run, settings, _corpus)
    if run.seed == settings.seeds[0]:
        save_checkpoint(model, run, settings, _corpus.sha256)
    return row
