"""`assay doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

from assay.cli.output import JsonFlag, print_json
from assay.referee.checkup import examine
from assay.report.progress import ProgressLine
from assay.report.tables import render_doctor
from assay.tasks.load import load_task

HELP = """What this machine is and what a verdict on it is worth.

Shows the machine's facts and measured peaks, which isolation layers hold in a real confined process and the tier that
follows, and the smallest speedup that it can prove right now (the same kernel measured against itself).

Example: assay doctor --json
"""

_TASK, _BUDGET_S = "swish_gate", 15.0
"""A task of about 1 ms: what a typical kernel's verdict can resolve."""


def doctor(
    quick: Annotated[bool, typer.Option("--quick", help="Leave out the measurement of the provable speedup.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Examine and print."""
    with ProgressLine() as progress:
        checkup = examine(load_task(_TASK), _BUDGET_S, progress, measure=not quick)
    if as_json:
        print_json(checkup.to_json())
    else:
        render_doctor(checkup.facts, checkup.peaks, checkup.probed, checkup.smallest_speedup, checkup.held)
