"""What the archive's verbs print: matches, one kernel, and what became of what was imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from assay.archive.entry import Entry, Match
from assay.core.sources import Candidate
from assay.report.hostile import one_line, shown
from assay.report.tables import plain_grid, plain_table
from assay.report.terminal import make_console
from assay.report.units import interval_text, plural, ratio_text

_STYLES = {"admitted": "bold green", "known": "bold", "refused": "bold red"}
_SHORT = 12


def render_matches(matches: Sequence[Match], console: Console | None = None) -> None:
    """One line for each kernel, best first; likeness only where a signature was asked for."""
    console = console or make_console()
    alike = any(match.similarity is not None for match in matches)
    table = plain_table("Kernel", *(["Alike"] if alike else []), "Task", "Candidate", "Speedup", "Torch")
    for match in matches:
        entry = match.entry
        cells = [Text(entry.identity[:_SHORT], "bold")]
        if match.similarity is not None:
            cells.append(Text(f"{match.similarity:.2f}"))
        name = f"{one_line(entry.candidate_name, 60)} ({entry.language})"
        cells += [Text(one_line(entry.task_name, 60)), Text(name), Text(_speedup(entry)), Text(entry.torch or "-")]
        table.add_row(*cells)
    if matches:
        console.print(table)
    console.print(Text(f"{plural(len(matches), 'kernel')}; assay archive show KERNEL has the sources"))


def render_kernel(entry: Entry, candidate: Candidate, console: Console | None = None) -> None:
    """What one kernel was certified for, and its sources."""
    console = console or make_console()
    grid = plain_grid()
    for name, value in _facts(entry):
        grid.add_row(name, Text(one_line(value)))
    console.print(grid)
    for file in candidate.files:
        console.print()
        console.print(Text(one_line(file.path), "bold"))
        console.print(Text(shown(file.text)), soft_wrap=True)


def _facts(entry: Entry) -> tuple[tuple[str, str], ...]:
    operators = entry.operators
    axes = ", ".join(f"{name}={size}" for name, size in entry.axes.items())
    types = ", ".join((*operators.dtypes, *(f"rank {rank}" for rank in operators.ranks))) if operators else ""
    return (
        ("Certificate", entry.identity),
        ("Candidate", f"{entry.candidate_name} ({entry.language}), {entry.candidate_identity[:_SHORT]}"),
        ("Flags", " ".join(entry.flags) or "none"),
        ("Proposer", entry.proposer or "not named"),
        ("Parent", entry.parent or "none named"),
        ("Task", f"{entry.task_name}, {entry.task_identity[:_SHORT]}" + (f"; {axes}" if axes else "")),
        ("Operators", " ".join(operators.operators) + (f"; {types}" if types else "") if operators else "not recorded"),
        ("Speedup", f"{_speedup(entry)}, at {entry.confidence:.0%}"),
        ("Machine", f"{entry.machine_identity[:_SHORT]}, torch {entry.torch or 'not known'}"),
        ("Signed by", f"{entry.signed_by}; compare it with what its owner gave you"),
        ("When", f"judged {entry.created}, admitted {entry.admitted}"),
    )


def render_import(report: Mapping[str, Any], console: Console | None = None) -> None:
    """What became of each entry, then the numbers."""
    console = console or make_console()
    table = plain_table("Entry", "Kernel", "Became", "Signed by, or why not")
    for each in report["entries"]:
        why = one_line(each["reason"] or each["signed_by"] or "", 300)
        became = Text(each["outcome"], _STYLES[each["outcome"]])
        kernel = one_line(each["identity"] or "-")[:_SHORT]
        table.add_row(Text(one_line(each["place"], 60)), Text(kernel), became, Text(why))
    console.print(table)
    console.print(Text(", ".join(f"{report[outcome]} {outcome}" for outcome in _STYLES)))
    if report["problem"]:
        console.print(Text(f"The file is not whole: {report['problem']}.", "bold yellow"))


def _speedup(entry: Entry) -> str:
    return f"{ratio_text(entry.speedup)} ({interval_text(entry.lower, entry.upper, entry.speedup)})"
