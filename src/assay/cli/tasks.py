"""`assay tasks [PATH]`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from assay.cli.output import JsonFlag, print_json
from assay.report.tables import render_tasks
from assay.tasks.listing import list_tasks

HELP = """List the built-in tasks, or those found under a path.

Example: assay tasks
Example: assay tasks KernelBench/KernelBench/level1
"""


def tasks(
    path: Annotated[Path | None, typer.Argument(help="Where to search; without it, the built-in set.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """List; nothing is executed."""
    found = list_tasks(path)
    if as_json:
        print_json({"tasks": [asdict(each) | {"format": each.format.value} for each in found]})
    else:
        render_tasks(found)
