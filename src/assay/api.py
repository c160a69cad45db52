"""The verbs for Python: what the command line does, as functions that return values and raise `AssayError`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay.core.config import JudgeConfig
from assay.core.sources import Candidate, Task
from assay.referee.bench import Progress
from assay.referee.correctness.audit import Audit
from assay.referee.judge import Referee, silent
from assay.referee.judgement import Judgement
from assay.report.certificate import read_certificate
from assay.report.replay import Replay, replay
from assay.tasks.candidates import load_candidate
from assay.tasks.load import load_task


def judge(
    task: Task | str | Path,
    candidate: Candidate | str | Path,
    *,
    config: JudgeConfig | None = None,
    progress: Progress = silent,
) -> Judgement:
    """Is this candidate right, and is it really faster?

    Args:
        task: a loaded task, or what `load_task` accepts.
        candidate: a loaded candidate, or what `load_candidate` accepts.
        config: settings; the defaults give a full verdict.
        progress: called with what is being done and the share of it that is done.

    For many candidates hold one `Referee` and call its `judge`: it keeps the sandbox and each task's preparation.
    Raises TaskError, MachineError or InputError; a bad candidate is a verdict, not an exception.
    """
    with Referee(config) as referee:
        return referee.judge(_task(task), _candidate(candidate), progress)


def audit(task: Task | str | Path, *, config: JudgeConfig | None = None, progress: Progress = silent) -> Audit:
    """Would a trivial answer pass this task? Raises as `judge` does."""
    with Referee(config) as referee:
        return referee.audit(_task(task), progress)


def verify(certificate: Mapping[str, Any] | str | Path, *, progress: Progress = silent) -> Replay:
    """Run somebody's claim again, here: its signature, its sources, and the whole judgement with new secrets.

    Raises InputError for a file that is no certificate, and as `judge` does.
    """
    data = certificate if isinstance(certificate, Mapping) else read_certificate(Path(certificate))
    return replay(data, progress)


def _task(task: Task | str | Path) -> Task:
    return task if isinstance(task, Task) else load_task(task)


def _candidate(candidate: Candidate | str | Path) -> Candidate:
    return candidate if isinstance(candidate, Candidate) else load_candidate(candidate)
