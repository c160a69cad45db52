"""`assay verify CERTIFICATE`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from assay.cli.exits import Exit
from assay.cli.output import JsonFlag, print_json
from assay.report.certificate import read_certificate
from assay.report.progress import ProgressLine
from assay.report.replay import Holds, replay
from assay.report.tables import render_replay

HELP = """Replay somebody's certificate here: does it hold?

Checks layout, identity and signature, repeats the inputs on which a rejected candidate was wrong, then judges the
sources again with the same settings, fresh processes and new secrets. Nothing in the certificate is trusted: its
candidate is built and run in the sandbox. Exit code: 0 it holds, 1 it does not, 3 this run does not decide.

Example: assay verify runs/20261122T064719Z-1a2b3c4d5e6f/certificate.json
"""

_CODES = {Holds.YES: Exit.ACCEPTED, Holds.NO: Exit.REJECTED, Holds.UNDECIDED: Exit.INCONCLUSIVE}


def verify(
    certificate: Annotated[Path, typer.Argument(help="A certificate.json.")],
    as_json: JsonFlag = False,
) -> None:
    """Replay, print, exit with what it showed."""
    data = read_certificate(certificate)
    with ProgressLine() as progress:
        result = replay(data, progress)
    if as_json:
        print_json(result.to_json())
    else:
        render_replay(result, data)
    raise typer.Exit(_CODES[result.holds])
