"""Tables for the other verbs: a task's audit, the list of tasks, and what this machine is worth as a referee."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from assay.machine.facts import MachineFacts
from assay.machine.isolation import IsolationReport
from assay.machine.peaks import Peaks
from assay.referee.audit import Audit, Trivial
from assay.referee.pairing import Refusal
from assay.report.explain import shape_text
from assay.report.hostile import one_line
from assay.report.terminal import make_console
from assay.report.units import bytes_text, plural, rate_text


@dataclass(frozen=True, slots=True)
class TaskListing:
    """One task in a list: its name, its family and the sizes that are timed."""

    name: str
    summary: str
    family: str = ""
    axes: dict[str, int] | None = None


def render_audit(audit: Audit, task: str, console: Console | None = None) -> None:
    """Print which trivial answers would pass a task, and what that means for it."""
    console = console or make_console()
    table = _table("Answer", "Passes on", "Fails on")
    for each in audit.trivial:
        passes, fails = (", ".join(families) or "nothing" for families in (each.passes_on, each.fails_on))
        table.add_row(Text(one_line(each.answer)), Text(passes), Text(fails))
    console.print(Text(f"Trivial answers to {one_line(task)}", "bold"))
    console.print(table)
    if audit.degenerate:
        style, words = "bold red", f"Degenerate: {_answers(audit.degenerate)} would pass everything. It proves nothing."
    elif audit.tightened:
        style, words = "bold yellow", (
            f"Tightened: {_answers(audit.tightened)} would pass on the task's own inputs; hidden families catch that."
        )  # fmt: skip
    else:
        style, words = "bold green", "Sound: no trivial answer passes, not even on the task's own inputs."
    console.print(Text(words, style))


def render_tasks(listings: Iterable[TaskListing], console: Console | None = None) -> None:
    """Print one line for each task."""
    console = console or make_console()
    table = _table("Task", "Family", "Timed at", "What")
    tasks = tuple(listings)
    for each in tasks:
        axes = shape_text(each.axes) if each.axes else ""
        table.add_row(Text(each.name, "bold"), *(Text(one_line(part)) for part in (each.family, axes, each.summary)))
    console.print(table)
    console.print(Text(f"{plural(len(tasks), 'task')}; also a .py file, a folder, a .json Definition, or module:Class"))


def render_doctor(
    facts: MachineFacts,
    peaks: Peaks | None,
    isolation: IsolationReport,
    smallest_speedup: float | Refusal | None = None,
    console: Console | None = None,
) -> None:
    """Print what this machine is, can do, isolates and can prove. `smallest_speedup` is 1.02 for 2 %."""
    console = console or make_console()
    _print_facts(facts, console)
    _print_peaks(peaks, console)
    _print_isolation(isolation, console)
    console.print(Text("Smallest speedup that a full judgement proves here, nine times in ten", "bold"))
    if isinstance(smallest_speedup, Refusal):
        console.print(Text(f"  none at present: {one_line(smallest_speedup.message)}", "yellow"))
    elif smallest_speedup is None:
        console.print(Text("  not measured"))
    else:
        console.print(Text(f"  {smallest_speedup - 1:.1%}"))


def _print_facts(facts: MachineFacts, console: Console) -> None:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    caches = [f"L{c.level} {c.kind} {bytes_text(c.size_bytes)}" for c in facts.caches or ()]
    rows: tuple[tuple[str, str, object], ...] = (
        ("Processor", "cpu_model", facts.cpu_model),
        ("Usable cores", "cores", facts.cores),
        ("Quota of cores", "cpu_quota", facts.cpu_quota),
        ("Caches", "caches", ", ".join(caches) or None),
        ("Memory", "memory_total_bytes", facts.memory_total_bytes and bytes_text(facts.memory_total_bytes)),
        ("Kernel", "kernel", facts.kernel),
        ("Hypervisor", "hypervisor", facts.hypervisor),
        ("Container", "container", facts.container),
        ("Versions", "torch", facts.torch and f"torch {facts.torch}, Python {facts.python}"),
        ("g++", "gxx", facts.gxx),
        ("Load", "load_average", facts.load_average),
        ("Waiting for a core", "cpu_pressure", None if facts.cpu_pressure is None else f"{facts.cpu_pressure:.0%}"),
    )
    for name, key, value in rows:
        shown = f"unknown: {facts.unknown.get(key, 'no reason given')}" if value is None else str(value)
        grid.add_row(name, Text(one_line(shown)))
    console.print(Text("Machine", "bold"))
    console.print(grid)
    console.print()


def _print_peaks(peaks: Peaks | None, console: Console) -> None:
    console.print(Text("Measured peaks, all threads", "bold"))
    if peaks is None:
        console.print(Text("  not measured yet; the first judgement measures them\n"))
        return
    for level in peaks.levels:
        console.print(Text(f"  {level.value:<5} {rate_text(peaks.bytes_per_s(level), 'B/s')}"))
    for dtype in dict.fromkeys(each.dtype for each in peaks.computes):
        rate = peaks.operations_per_s(dtype)
        if rate is not None:
            console.print(Text(f"  {dtype.value:<9} {rate_text(rate, 'op/s')}"))
    console.print()


def _print_isolation(isolation: IsolationReport, console: Console) -> None:
    table = _table("Isolation layer", "Here", "How, or why not")
    for state in isolation.layers:
        here = Text("yes", "green") if state.available else Text("no", "bold yellow")
        table.add_row(Text(state.layer.value), here, Text(one_line(state.reason)))
    console.print(table)
    console.print()


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for index, heading in enumerate(headings):
        table.add_column(heading, overflow="fold", no_wrap=index == 0)
    return table


def _answers(trivial: Iterable[Trivial]) -> str:
    return ", ".join(each.answer for each in trivial)
