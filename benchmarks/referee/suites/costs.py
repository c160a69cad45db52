"""What judging costs: the shell a call, a fresh worker, a build, a full verdict and a screening, cold and held.

It runs with an ASSAY_HOME of its own, empty at first, so that "first time" is the first time on a machine.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from assay.build.cpp import CppBuilder
from assay.core.config import Depth, JudgeConfig
from assay.core.sources import Candidate, SourceFile
from assay.machine.cache_dirs import HOME_VARIABLE
from assay.referee.judge import Referee
from assay.referee.protocol.party import Party
from assay.tasks.candidates import load_candidate
from assay.tasks.load import load_task
from benchmarks.referee.arena import Arena
from benchmarks.referee.court import brief
from benchmarks.referee.results import ROOT, Record
from benchmarks.referee.suite import Context, Suite
from benchmarks.referee.synthetic import work_task

_KERNELS = ROOT / "tests" / "kernels"
_TASK = "softmax"
"""1024 x 2048 floats: about 1 ms in C++ on two quiet cores."""
_WORKERS, _CALLS_A_WORKER, _BUILDS, _VERDICTS, _SCREENINGS = 20, 100, 5, 3, 5
_LINES = (75, 125)
"""What counts as a kernel of 100 lines."""


def run(context: Context, record: Record) -> None:
    """Verdicts from the very first to held ones, then screenings, the shell, and builds."""
    verdicts, screenings = context.pick(_VERDICTS, 1), context.pick(_SCREENINGS, 1)
    builds = _hundred_line_kernels()[: context.pick(_BUILDS, 1)]
    record.total = 2 + len(builds) + 2 + verdicts + 1 + 2 * screenings
    with _fresh_home():
        _verdicts(verdicts, record)
        _screenings(screenings, record)
        _shell(context.pick(_WORKERS, 2), record)
        _builds(builds, record)


@contextmanager
def _fresh_home() -> Iterator[None]:
    before = os.environ.get(HOME_VARIABLE)
    with tempfile.TemporaryDirectory(prefix="assay-costs-") as folder:
        os.chmod(folder, 0o755)
        os.environ[HOME_VARIABLE] = folder
        try:
            yield
        finally:
            del os.environ[HOME_VARIABLE]
            if before is not None:
                os.environ[HOME_VARIABLE] = before


def _shell(workers: int, record: Record) -> None:
    times: list[int] = []
    spawn_ms: list[float] = []
    with Arena(work_task()) as arena:
        for index in range(workers + 1):
            start = time.monotonic()
            party = arena.bench.party(arena.null())
            ms = (time.monotonic() - start) * 1e3
            try:
                party.lay_out(arena.bench.timed)
                calls = [_null_call(arena, party) for _ in range(_CALLS_A_WORKER)]
            finally:
                party.close()
            if index:  # the first worker waits for the zygote's imports
                spawn_ms.append(ms)
                times += calls[5:]
    _add(record, "null call us", [t / 1e3 for t in times])
    _add(record, "fresh worker ms", spawn_ms)


def _null_call(arena: Arena, party: Party) -> int:
    """Nanoseconds, with inputs landed just before as in a timed call."""
    arena.bench.land(arena.bench.draw_window())
    return party.run(0, 10.0).wall_ns


def _hundred_line_kernels() -> list[Candidate]:
    low, high = _LINES
    paths = [p for p in sorted(_KERNELS.glob("*.cpp")) if low <= len(p.read_text().splitlines()) <= high]
    return [load_candidate(path) for path in paths]


def _builds(kernels: list[Candidate], record: Record) -> None:
    with CppBuilder() as builder:
        for kernel in kernels:
            builder.build(kernel, use_cache=False)
            seconds = [builder.build(kernel, use_cache=False).cpu_seconds or 0.0 for _ in range(3)]
            lines = len(kernel.files[0].text.splitlines())
            _add(record, f"build {kernel.name} cpu s", seconds, lines=lines)


def _verdicts(count: int, record: Record) -> None:
    """Everything for the first time, cold with the baseline known, then held; the build is new each time."""
    with Referee() as referee:
        _judged(record, "verdict first time", referee, time.monotonic(), "first")
    started = time.monotonic()
    with Referee() as referee:
        _judged(record, "verdict cold, baseline cached", referee, started, "cold")
        for index in range(count):
            _judged(record, f"verdict held {index}", referee, time.monotonic(), f"held {index}")


def _screenings(count: int, record: Record) -> None:
    config = JudgeConfig(depth=Depth.SCREEN)
    for index in range(count):
        started = time.monotonic()
        with Referee(config) as referee:
            _judged(record, f"screening cold {index}", referee, started, f"cold screening {index}")
    with Referee(config) as referee:
        _judged(record, "screening held, first of its task", referee, time.monotonic(), "held screening")
        for index in range(count):
            _judged(record, f"screening held {index}", referee, time.monotonic(), f"held screening {index}")


def _judged(record: Record, name: str, referee: Referee, started: float, remark: str) -> None:
    """Seconds since `started`, by phase as the progress names them."""
    if record.has(name):
        return
    phases: dict[str, float] = {}
    phase, since = "starting", started

    def watch(what: str, _share: float) -> None:
        nonlocal phase, since
        now = time.monotonic()
        phases[phase] = phases.get(phase, 0.0) + now - since
        phase, since = what, now

    try:
        found = brief(referee.judge(load_task(_TASK), _new_kernel(remark), watch))
    except Exception as error:  # noqa: BLE001 - one failed verdict must not cost the others their figures
        found = {"error": f"{type(error).__name__}: {error}"}
    watch("done", 1.0)
    seconds = round(time.monotonic() - started, 3)
    rounded = {what: round(value, 2) for what, value in phases.items()}
    result = {k: found.get(k) for k in ("verdict", "outcome", "reason", "rounds", "turns", "error")}
    record.add({"name": name, **result, "seconds": seconds, "phases": rounded}, f"{seconds:.1f} s {rounded}")


def _new_kernel(remark: str) -> Candidate:
    """The kernel with a remark that no cache has seen."""
    kernel = load_candidate(_KERNELS / f"{_TASK}.cpp")
    file = kernel.files[0]
    return replace(kernel, files=(SourceFile(file.path, f"{file.text}// {remark} {time.time_ns()}\n"),))


def _add(record: Record, name: str, values: list[float], **more: Any) -> None:
    quantiles = [float(q) for q in np.quantile(values, (0.05, 0.25, 0.5, 0.75, 0.95))]
    shown = ", ".join(f"{q:.3g}" for q in quantiles)
    record.add({"name": name, "quantiles": quantiles, "count": len(values), **more}, f"5/25/50/75/95 %: {shown}")


SUITE = Suite("costs", run, 6, {"task": _TASK, "workers": _WORKERS, "calls_a_worker": _CALLS_A_WORKER})
