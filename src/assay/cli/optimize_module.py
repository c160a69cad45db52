"""`assay optimize FILE.py:Class`: a module of the user's own, in parts, and the whole of it before and after."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from assay.applied.compare import Comparison, compare
from assay.applied.model import apply_certificates
from assay.cli.exits import Exit
from assay.cli.output import print_json
from assay.cli.watch import Watch
from assay.engineer.model import Part, Parts, choose_parts, optimize_parts
from assay.engineer.optimize import OptimizeConfig, Optimized
from assay.engineer.own_module import load_own_module
from assay.engineer.publishing import publish_found
from assay.errors import InputError
from assay.report.progress import ProgressLine
from assay.report.terminal import make_console

_REASON_COLUMNS = 160


def optimize_own_module(spec: str, config: OptimizeConfig, runs: Path, *, resume: bool, as_json: bool) -> Exit:
    """Choose parts, optimise them, apply what was certified, time the whole, print. Returns the exit code."""
    model, example_inputs = load_own_module(spec)
    original = copy.deepcopy(model)
    console = make_console(stderr=as_json)
    rows: list[dict[str, Any]] = []
    certificates: list[dict[str, Any]] = []
    with ProgressLine() as progress:
        progress("finding where the time goes", 0.0)
        parts = choose_parts(model, example_inputs)
        progress.close()
        _print_parts(parts, console)
        if not parts.chosen:
            raise InputError("no part of the module can be optimised", value=spec, rule="see docs/engineer.md")
        watch = Watch(progress, config.budget_s)
        for part, found, folder in optimize_parts(parts, config, runs, progress, watch=watch, resume=resume):
            published = publish_found(part.converted.task.name, found, folder, runs, config.archive)
            rows.append(part.to_json(found) | {"runs": [str(run.folder) for run in published.runs]})
            if published.certificate is not None:
                certificates.append(published.certificate)
            progress.close()
            _print_part(part, found, folder, rows[-1]["runs"], console)
        comparison = None
        if certificates:
            progress("timing the whole model before and after", 0.0)
            apply_certificates(model, certificates, example_inputs)
            comparison = compare(original, model, example_inputs)
    if as_json:
        whole = comparison.to_json() if comparison else None
        print_json({"parts": rows, "left_out": parts.left_out, "whole": whole})
    else:
        _print_whole(comparison, rows, console)
    return Exit.ACCEPTED if certificates else Exit.REJECTED


def _name(part: Part) -> str:
    return ", ".join(place or "the whole module" for place in part.places)


def _print_parts(parts: Parts, console: Console) -> None:
    """What the search can bring at most, before any search."""
    table = Table("part", "share of the time", "brings the whole at most", box=None, padding=(0, 3, 0, 0))
    for part in parts.chosen:
        bound = "any speedup" if math.isinf(part.bound) or part.share > 0.99 else f"{part.bound:.2f}x"
        table.add_row(_name(part), f"{part.share:.0%}", bound)
    console.print(table)
    for name, reason in parts.left_out.items():
        console.print(f"left as it is: {name}: {reason[:_REASON_COLUMNS]}", style="dim")


def _print_part(part: Part, found: Optimized, folder: Path, runs: list[str], console: Console) -> None:
    if found.accepted is not None and found.accepted.speedup is not None:
        ratio, lower, upper = found.accepted.speedup
        words = f"ACCEPT {ratio:.2f}x [{lower:.2f}, {upper:.2f}] over {found.accepted.baseline.variant}" if (
            found.accepted.baseline) else "ACCEPT"  # fmt: skip
    else:
        words = "nothing certified as faster"
    console.print(f"\n{_name(part)}: {words}")
    console.print(f"  {found.search.ideas} kernels tried; {found.search.words}", style="dim")
    for page in (folder, *runs):
        console.print(f"  {page}/page.html", style="dim", soft_wrap=True)


def _print_whole(comparison: Comparison | None, rows: list[dict[str, Any]], console: Console) -> None:
    if comparison is None:
        console.print("\nThe module stays as it is.")
        return
    ratio, lower, upper = comparison.speedup
    compiled = f", torch.compile {comparison.compiled_ms:.3g} ms" if comparison.compiled_ms is not None else ""
    console.print(
        f"\nThe whole module: {comparison.applied_ms:.3g} ms a call with the certified kernels; eager "
        f"{comparison.eager_ms:.3g} ms{compiled}: {ratio:.2f}x [{lower:.2f}, {upper:.2f}] over {comparison.baseline}."
    )
    console.print(
        f"Outputs differ by at most {comparison.difference:.2g}. Timed in this process, in turns; the certificates are "
        "the parts'."
    )
    accepted = [row["runs"][-1] for row in rows if row["speedup"]]
    console.print("\nIn your code:  assay.apply(model, certificates, example_inputs)  with certificates =")
    for run in accepted:
        console.print(f"  {run}/certificate.json", soft_wrap=True)
