"""`assay audit TASK`."""

from __future__ import annotations

from typing import Annotated

import typer

from assay.cli.exits import Exit
from assay.cli.output import JsonFlag, ScaledFlag, ThreadsOption, make_config, print_json
from assay.referee.judge import Referee
from assay.report.progress import ProgressLine
from assay.report.tables import render_audit
from assay.tasks.load import load_task

HELP = """Is this task worth optimising, or would a trivial answer pass?

Puts zeros, ones, the mean, every input, the output for another input and a half-precision rerun of the reference
before the same error budget that a candidate must meet, on every input family. Exit code: 0 sound, 1 degenerate.

Example: assay audit softmax
"""


def audit(
    task: Annotated[str, typer.Argument(help="What to audit; see assay judge --help.")],
    threads: ThreadsOption = 0,
    scaled: ScaledFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Audit, print, exit 1 where a trivial answer passes everywhere."""
    loaded = load_task(task, profile="scaled" if scaled else "full")
    with ProgressLine() as progress, Referee(make_config(10.0, threads, "best")) as referee:
        result = referee.audit(loaded, progress)
    if as_json:
        print_json({"task": loaded.name, "degenerate": bool(result.degenerate), **result.to_json()})
    else:
        render_audit(result, loaded.name)
    raise typer.Exit(Exit.REJECTED if result.degenerate else Exit.ACCEPTED)
