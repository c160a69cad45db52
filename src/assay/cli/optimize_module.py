"""`assay optimize FILE.py:Class`: a module of the user's own, in parts, and the whole of it before and after."""

from __future__ import annotations

import copy
from pathlib import Path

from rich.console import Console
from rich.table import Table

from assay.applied.compare import Comparison, compare
from assay.applied.model import apply_certificates
from assay.cli.exits import Exit
from assay.cli.output import print_json
from assay.cli.watch import watching
from assay.engineer.model import Parts, choose_parts, optimize_parts
from assay.engineer.optimize import OptimizeConfig
from assay.engineer.own_module import load_own_module
from assay.engineer.page.module import Subject
from assay.engineer.places import bound_text
from assay.engineer.publishing import Outcome, certificates_of, publish_part, publish_whole
from assay.report.terminal import make_console

_REASON_COLUMNS = 160


def optimize_own_module(spec: str, config: OptimizeConfig, runs: Path, *, resume: bool, as_json: bool) -> Exit:
    """Choose parts, optimise them, apply what was certified, time the whole, print. Returns the exit code."""
    model, example_inputs = load_own_module(spec)
    original = copy.deepcopy(model)
    console = make_console(stderr=as_json)
    outcomes: list[Outcome] = []
    with watching(config.budget_s) as watcher:
        watcher("finding where the time goes", 0.0)
        parts = choose_parts(model, example_inputs)
        watcher.close()
        _print_parts(parts, console)
        for part, found, folder in optimize_parts(parts, config, runs, watcher, watch=watcher.event, resume=resume):
            outcomes.append(publish_part(part, found, folder, runs, config.archive))
            watcher.close()
            _print_part(outcomes[-1], console)
        certificates = certificates_of(outcomes)
        comparison = None
        if certificates:
            watcher("timing the whole model before and after", 0.0)
            apply_certificates(model, certificates, example_inputs)
            comparison = compare(original, model, example_inputs)
    whole = comparison.to_json() if comparison else None
    page, result = publish_whole(Subject(spec.rpartition(":")[2]), outcomes, parts.left_out, whole, runs)
    if as_json:
        print_json(result)
    else:
        _print_whole(comparison, outcomes, console)
        console.print(f"\nThe model's page  {page}", soft_wrap=True)
    return Exit.ACCEPTED if certificates else Exit.REJECTED


def _print_parts(parts: Parts, console: Console) -> None:
    """What the search can bring at most, before any search."""
    table = Table("part", "share of the time", "brings the whole at most", box=None, padding=(0, 3, 0, 0))
    for part in parts.chosen:
        table.add_row(part.name, f"{part.share:.0%}", bound_text(part.share))
    console.print(table)
    for name, reason in parts.left_out.items():
        console.print(f"left as it is: {name}: {reason[:_REASON_COLUMNS]}", style="dim")


def _print_part(outcome: Outcome, console: Console) -> None:
    search = outcome.found.search
    console.print(f"\n{outcome.part.name}: {outcome.found.words}")
    console.print(f"  {search.ideas} kernels tried; {search.words}", style="dim")
    for folder in (outcome.folder, *(run.folder for run in outcome.published.runs)):
        console.print(f"  {folder}/page.html", style="dim", soft_wrap=True)


def _print_whole(comparison: Comparison | None, outcomes: list[Outcome], console: Console) -> None:
    if comparison is None:
        console.print("\nThe module stays as it is.")
        return
    console.print(f"\nThe whole module: {comparison.words('a call')}")
    console.print(
        f"Outputs differ by at most {comparison.difference:.2g}. Timed in this process, in turns; the certificates are "
        "the parts'."
    )
    accepted = [one.published.runs[-1].certificate for one in outcomes if one.published.certificate is not None]
    console.print("\nIn your code:  assay.apply(model, certificates, example_inputs)  with certificates =")
    for certificate in accepted:
        console.print(f"  {certificate}", soft_wrap=True)
