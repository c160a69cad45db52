"""`assay export RUN -o DIR`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from assay.applied.export import export_package
from assay.cli.output import JsonFlag, RunsOption, print_json
from assay.report.certificate import read_certificate
from assay.report.store import load_run
from assay.report.terminal import make_console

HELP = """Write an accepted run's kernel as a package that installs without Assay.

It holds the kernel's sources, the reference as its fallback, a guard that compares shapes, types and layouts, a test,
and the certificate. RUN is an ID, a part of it, latest, or a certificate.json.

Example: assay export latest -o fast_softmax
"""


def export(
    run: Annotated[str, typer.Argument(help="An ID, a part of it, latest, or a certificate's file.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="A folder that does not exist yet.")],
    name: Annotated[str, typer.Option("--name", help="The package's name; the task's without it.")] = "",
    folder: RunsOption = Path("runs"),
    as_json: JsonFlag = False,
) -> None:
    """Export, and say how to install."""
    certificate = read_certificate(Path(run)) if run.endswith(".json") else load_run(folder, run)[1]
    made = export_package(certificate, output, name)
    if as_json:
        print_json({"package": str(made)})
    else:
        make_console().print(f"{made}: pip install {made}; python -m pytest {made / 'tests'}", soft_wrap=True)
