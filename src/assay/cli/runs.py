"""`assay runs`, `assay show RUN` and `assay compare RUN RUN`: what was judged before."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Column, Table
from rich.text import Text

from assay.claims.reading import is_claim, read_any
from assay.claims.terminal import render_claim
from assay.claims.words import headline
from assay.cli.output import JsonFlag, RunsOption, print_json
from assay.errors import InputError
from assay.report.compare import against
from assay.report.hostile import one_line
from assay.report.store import Run, list_runs, load_run
from assay.report.terminal import VERDICT_STYLES, make_console, render_verdict, right_text, speedup_text
from assay.report.units import estimate_text, ratio_text

RUNS_HELP = """List the runs in a folder, the latest first.

Example: assay runs --limit 50
"""
SHOW_HELP = """Show a run's verdict again. RUN is its ID, a part of it that no other run has, or latest.

Example: assay show latest
"""
COMPARE_HELP = """Two runs side by side, and how much faster the second one's candidate is than the first one's.

Example: assay compare 1a2b3c 4d5e6f
"""

RunArgument = Annotated[str, typer.Argument(help="An ID, a part of it, or latest.")]


def runs(
    folder: RunsOption = Path("runs"),
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many at most.")] = 20,
    as_json: JsonFlag = False,
) -> None:
    """List."""
    found = list_runs(folder)
    rows = [_row(run) for run in found[:limit]]
    if as_json:
        print_json({"runs": rows, "more": max(len(found) - limit, 0)})
        return
    console = make_console()
    if not found:
        console.print(f"no runs in {folder}")
        return
    whole = Column("run", no_wrap=True)  # it is copied; other columns give way first
    table = Table(
        whole, "task", "candidate", Column("verdict", no_wrap=True), "speedup", box=None, padding=(0, 2, 0, 0)
    )
    for row in rows:
        verdict = Text(row["verdict"], VERDICT_STYLES.get(row["verdict"], "bold red"))
        table.add_row(row["run"], row["task"], row["candidate"], verdict, row["shown"])
    console.print(table)
    if len(found) > limit:
        console.print(f"and {len(found) - limit} older ones: --limit {len(found)}")


def show(run: RunArgument, folder: RunsOption = Path("runs"), as_json: JsonFlag = False) -> None:
    """One run."""
    found, certificate = load_run(folder, run, read_any)
    if as_json:
        print_json(certificate)
        return
    console = make_console()
    render = render_claim if is_claim(certificate) else render_verdict
    render(certificate, found.certificate, console)
    console.print(Text("Page         ", "bold").append(str(found.page), ""), soft_wrap=True)


def compare(
    first: RunArgument, second: RunArgument, folder: RunsOption = Path("runs"), as_json: JsonFlag = False
) -> None:
    """Two runs."""
    both = [load_run(folder, name, read_any) for name in (first, second)]
    if any(is_claim(certificate) for _, certificate in both):
        raise InputError("two models' runs cannot be compared", value=f"{first}, {second}",
                         rule="compare is for kernels of one task", next_step="assay show RUN, of each")  # fmt: skip
    result = against(both[0][1], both[1][1])
    if as_json:
        rows = [_row(run) for run, _ in both]
        print_json({"runs": rows, "second_over_first": result.to_json()})
        return
    console = make_console()
    table = Table("", *(run.id for run, _ in both), box=None, padding=(0, 2, 0, 0))
    columns = [_facts(certificate) for _, certificate in both]
    for name in columns[0]:
        table.add_row(Text(name, "bold"), *(one_line(column[name], 200) for column in columns))
    console.print(table)
    ratio = result.ratio
    lead = f"{ratio_text(ratio[0])}, between {ratio_text(ratio[1])} and {ratio_text(ratio[2])}; " if ratio else ""
    console.print(f"\nSecond over first  {lead}{result.words}")


def _facts(certificate: dict[str, Any]) -> dict[str, str]:
    task, candidate, baseline = (certificate[part] for part in ("task", "candidate", "baseline"))
    return {
        "task": f"{task['name']}, {task['identity'][:12]}",
        "sizes": ", ".join(f"{name}={size}" for name, size in certificate["axes"].items()) or "its only ones",
        "candidate": f"{candidate['name']} ({candidate['language']}), {candidate['identity'][:12]}",
        "verdict": certificate["verdict"],
        "right": right_text(certificate),
        "speedup": speedup_text(certificate),
        "baseline": baseline["variant"] if baseline else "none",
        "machine": f"{certificate['machine']['cpu_model']}, {certificate['machine']['identity'][:12]}",
        "findings": ", ".join(finding["code"] for finding in certificate["findings"]) or "none",
    }


def _row(run: Run) -> dict[str, Any]:
    """A damaged certificate is a row too."""
    try:
        certificate = read_any(run.certificate)
    except InputError as error:
        return {"run": run.id, "task": "", "candidate": "", "verdict": "DAMAGED", "speedup": None, "shown": error.what}
    if is_claim(certificate):
        return _claim_row(run, certificate)
    speedup = certificate["speedup"]
    shown = estimate_text(*(speedup[key] for key in ("ratio", "lower", "upper"))) if speedup else ""
    return {
        "run": run.id, "task": one_line(certificate["task"]["name"], 40),
        "candidate": one_line(certificate["candidate"]["name"], 40), "verdict": certificate["verdict"],
        "speedup": speedup, "shown": shown,
    }  # fmt: skip


def _claim_row(run: Run, claim: dict[str, Any]) -> dict[str, Any]:
    """A judgement of models: the dense one stands where a kernel's task does."""
    return {
        "run": run.id, "task": one_line(f"as good as {claim['dense']['name']}", 40),
        "candidate": one_line(claim["cheap"]["name"], 40), "verdict": claim["verdict"], "speedup": None,
        "shown": one_line(headline(claim), 60),
    }  # fmt: skip
