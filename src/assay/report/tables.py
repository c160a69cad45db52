"""What the other verbs print: a task's audit, the list of tasks, a replay, and this machine's worth as a referee."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from assay.machine.facts import MachineFacts
from assay.machine.isolation import IsolationReport
from assay.machine.peaks import Peaks
from assay.referee.correctness.audit import Audit, Trivial
from assay.referee.judgement import Judgement
from assay.referee.tiers import Isolation
from assay.referee.timing.pairing import Refusal
from assay.report.explain import LAYERS, TIERS
from assay.report.hostile import one_line
from assay.report.replay import Holds, Replay
from assay.report.terminal import make_console, print_findings, speedup_text
from assay.report.units import bytes_text, estimate_text, plural, rate_text
from assay.tasks.listing import TaskListing


def render_audit(audit: Audit, task: str, console: Console | None = None) -> None:
    """Print which trivial answers would pass a task, and what that means for it."""
    console = console or make_console()
    table = plain_table("Answer", "Passes on", "Fails on")
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
    """Print one line for each task; one that cannot be loaded says why."""
    console = console or make_console()
    table = plain_table("Task", "Format", "Family", "What")
    tasks = tuple(listings)
    for each in tasks:
        what = Text(one_line(each.summary)) if each.problem is None else Text(one_line(each.problem), "yellow")
        table.add_row(Text(one_line(each.name), "bold"), Text(each.format.value), Text(one_line(each.family)), what)
    console.print(table)
    console.print(Text(f"{plural(len(tasks), 'task')}; also a .py file, a folder, a .json Definition, or module:Class"))


def render_replay(replay: Replay, certificate: Mapping[str, Any], console: Console | None = None) -> None:
    """Print whether a certificate holds here, beside what it claims."""
    console = console or make_console()
    style = {Holds.YES: "bold green", Holds.NO: "bold red", Holds.UNDECIDED: "bold yellow"}[replay.holds]
    here = replay.judgement
    rows = [
        ("Outcome", Text(f"{replay.holds.value.replace('-', ' ')}: ", style).append(one_line(replay.reason), "")),
        ("Task", Text(one_line(certificate["task"]["name"]))),
        ("Candidate", Text(one_line(certificate["candidate"]["name"]))),
        ("Signature", Text(one_line(replay.signature.reason)).append(f" ({replay.signature.fingerprint or 'no key'})")),
        ("Claimed", Text(f"{certificate['verdict']}, {one_line(speedup_text(certificate))}")),
    ]
    if replay.witness:
        rows.append(("Witness", Text(one_line(replay.witness))))
    if here is not None:
        rows.append(("Here", Text(f"{here.verdict.value}, {_speedup_here(here)}")))
    grid = plain_grid()
    for name, words in rows:
        grid.add_row(name, words)
    console.print(grid)
    if here is not None and here.findings:
        console.print()
        print_findings([finding.to_json() for finding in here.findings], console)


def _speedup_here(judgement: Judgement) -> str:
    if judgement.speedup is None:
        return "speed not measured"
    return estimate_text(*judgement.speedup)


def render_doctor(
    facts: MachineFacts,
    peaks: Peaks | None,
    probed: IsolationReport,
    smallest_speedup: float | Refusal | None = None,
    held: Isolation | None = None,
    console: Console | None = None,
) -> None:
    """Print what this machine is, can do, isolates and can prove.

    Args:
        facts: what it is.
        peaks: what it was seen to do; None where that was not measured.
        probed: which layers it offers.
        smallest_speedup: 1.02 for 2 %, why none can be proved, or None where it was not measured.
        held: the layers that held in a real confined process.
        console: where to print; stdout without one.
    """
    console = console or make_console()
    _print_facts(facts, console)
    _print_peaks(peaks, console)
    _print_isolation(probed, held, console)
    console.print(Text("Smallest speedup that a full judgement proves here, nine times in ten", "bold"))
    if isinstance(smallest_speedup, Refusal):
        console.print(Text(f"  none at present: {one_line(smallest_speedup.message)}", "yellow"))
    elif smallest_speedup is None:
        console.print(Text("  not measured"))
    else:
        console.print(Text(f"  {smallest_speedup - 1:.1%}"))


def _print_facts(facts: MachineFacts, console: Console) -> None:
    grid = plain_grid()
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
        shown = facts.unknown.get(key, "not known, and no reason given") if value is None else str(value)
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


def _print_isolation(probed: IsolationReport, held: Isolation | None, console: Console) -> None:
    table = plain_table("Isolation layer", "Here", "How, or why not")
    for state in probed.layers:
        here = Text("yes", "green") if state.available else Text("no", "bold yellow")
        table.add_row(Text(state.layer.value), here, Text(one_line(state.reason)))
    console.print(table)
    console.print()
    if held is not None:
        console.print(Text("Tier of a candidate judged here", "bold"))
        console.print(Text(f"  {held.tier.value}: {TIERS[held.tier.value]}"))
        for layer in held.missing:
            console.print(Text(f"  missing: {LAYERS.get(layer, layer)} ({layer})", "yellow"))
        console.print()


def plain_grid() -> Table:
    """Names beside values, without lines."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    return grid


def plain_table(*headings: str) -> Table:
    """Columns under headings, without lines; the first column is never broken."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for index, heading in enumerate(headings):
        table.add_column(heading, overflow="fold", no_wrap=index == 0)
    return table


def _answers(trivial: Iterable[Trivial]) -> str:
    return ", ".join(each.answer for each in trivial)
