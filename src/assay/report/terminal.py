"""A certificate on a terminal: verdict first, then why, then what it does and does not cover.

Works at 80 columns, without colour, and piped: every colour is said in words too. All text is passed as `Text`, never
as markup, with control characters shown instead of obeyed.
"""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from assay.report.explain import FAULTS, TIERS, VERDICTS, WEIGHTS
from assay.report.hostile import one_line
from assay.report.units import interval_text, plural, ratio_text, seconds_text, time_text

VERDICT_STYLES = {"ACCEPT": "bold green", "REJECT": "bold red", "INCONCLUSIVE": "bold yellow"}
_WEIGHT_STYLES = {"fatal": "bold red", "doubt": "bold yellow", "note": "bold"}
_MESSAGE_LENGTH, _MOST_ANSWERS = 700, 4


def make_console(stderr: bool = False) -> Console:
    """A console that never guesses at markup, numbers or paths in what it prints."""
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=False)


def render_verdict(certificate: Mapping[str, Any], path: Path | None = None, console: Console | None = None) -> None:
    """Print a certificate; `path` is where it lies."""
    console = console or make_console()
    console.print(_panel(certificate))
    console.print()
    print_findings(certificate["findings"], console)
    print_sentences("Covered", certificate["covered"], "+", console)
    print_sentences("Not covered", certificate["not_covered"], "-", console)
    if certificate["audit"] is not None:
        print_audit_summary(certificate["audit"]["trivial"], console)
    if path is not None:
        console.print(Text("Certificate  ", "bold").append(str(path), ""), soft_wrap=True)
        console.print(
            Text("Run again    ", "bold").append(f"assay verify {shlex.quote(str(path))}", ""), soft_wrap=True
        )


def _panel(certificate: Mapping[str, Any]) -> Panel:
    verdict = certificate["verdict"]
    style = VERDICT_STYLES[verdict]
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in _facts(certificate):
        grid.add_row(name, Text(one_line(value)))
    return Panel(
        grid,
        title=Text(f" {verdict} ", style),
        title_align="left",
        subtitle=Text(f" {VERDICTS[verdict]} "),
        subtitle_align="left",
        border_style=style.split()[-1],
        padding=(1, 2),
    )


def _facts(certificate: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    candidate, baseline, isolation = (certificate[part] for part in ("candidate", "baseline", "isolation"))
    yield "Task", certificate["task"]["name"]
    yield "Candidate", f"{candidate['name']} ({candidate['language']}), {certificate['candidate']['identity'][:12]}"
    yield "Right", right_text(certificate)
    yield "Speedup", speedup_text(certificate)
    if baseline is not None:
        median = next((c["median_ns"] for c in baseline["considered"] if c["variant"] == baseline["variant"]), None)
        yield "Baseline", baseline["variant"] + (f", {time_text(median)} a call when chosen" if median else "")
    if device := device_text(certificate):
        yield "Device", device
    if isolation is not None:
        tier = isolation["tier"]
        yield "Isolation", f"{tier}: {TIERS[tier]}" if tier in TIERS else tier
    yield "Took", seconds_text(certificate["seconds"])


def device_text(certificate: Mapping[str, Any]) -> str:
    """The GPU that a candidate ran on, and what it was built for; empty for a processor."""
    device = (certificate.get("artifact") or {}).get("device")  # claims about models have no artifact
    if not device:
        return ""
    gpu = device.get("gpu") or {}
    return f"{gpu.get('name', 'unknown')}, driver {gpu.get('driver', 'unknown')}, {device.get('target', 'unknown')}"


def right_text(certificate: Mapping[str, Any]) -> str:
    """Whether the outputs were right, and how many were looked at."""
    done = certificate["correctness"]
    count = plural(done["verified_calls"], "output") + " verified" if done else "no output verified"
    if certificate["right"] is False:
        return f"no: {decisive_code(certificate)} ({count})"
    return f"yes, {count}" if certificate["right"] else f"not known, {count}"


def decisive_code(certificate: Mapping[str, Any]) -> str:
    """The code of the first finding that rejects; "unknown" in a certificate that has none."""
    codes = (finding["code"] for finding in certificate["findings"] if finding["weight"] == "fatal")
    return str(next(codes, "unknown"))


def speedup_text(certificate: Mapping[str, Any]) -> str:
    """The estimate with its interval and what the run could fake, or why there is none."""
    speedup, claim = certificate["speedup"], certificate["claim"]
    if speedup is None:
        return f"not measured: {certificate['missing'].get('speedup', 'no reason given')}"
    interval = interval_text(speedup["lower"], speedup["upper"], speedup["ratio"])
    text = f"{ratio_text(speedup['ratio'])} ({speedup['confidence']:.0%} interval {interval})"
    if claim is not None and claim["resolution"] is not None:
        text += f"; this run could fake {claim['resolution']:.1%}"
    return text


def effect_text(finding: Mapping[str, Any]) -> str:
    """What a finding does to the verdict, and whose fault it is."""
    fault = FAULTS.get(finding["fault"] or "", "")
    return WEIGHTS[finding["weight"]] + (f"; {fault}" if fault else "")


def print_findings(findings: Iterable[Mapping[str, Any]], console: Console) -> None:
    """Findings by weight: what each does, who is at fault, and its message."""
    order = list(WEIGHTS)
    for finding in sorted(findings, key=lambda each: order.index(each["weight"])):
        heading = Text(f"{finding['weight'].upper()} ", _WEIGHT_STYLES[finding["weight"]])
        heading.append(one_line(finding["code"], 60), "bold").append(f"  {effect_text(finding)}")
        console.print(heading)
        _print_indented(one_line(finding["message"], _MESSAGE_LENGTH), "  ", console)
    console.print()


def print_sentences(title: str, sentences: Iterable[str], mark: str, console: Console) -> None:
    """Sentences under a title, each behind a mark."""
    console.print(Text(title, "bold"))
    for sentence in sentences:
        _print_indented(one_line(sentence, _MESSAGE_LENGTH), f"  {mark} ", console)
    console.print()


def print_audit_summary(trivial: Iterable[Mapping[str, Any]], console: Console) -> None:
    """The trivial answers that pass most, one line each."""
    ordered = sorted(trivial, key=lambda each: (len(each["fails_on"]) > 0, -len(each["passes_on"])))
    passing = [each for each in ordered if each["passes_on"]]
    console.print(Text("Trivial answers to the task", "bold"))
    for each in passing[:_MOST_ANSWERS]:
        passed, tried = len(each["passes_on"]), len(each["passes_on"]) + len(each["fails_on"])
        warning = ": the task is degenerate" if passed == tried else ""
        _print_indented(f"{one_line(each['answer'], 80)} passes {passed} of {tried} families{warning}", "    ", console)
    rest = len(passing) - _MOST_ANSWERS
    if rest > 0:
        _print_indented(f"and {rest} more pass some", "    ", console)
    _print_indented(f"{len(ordered) - len(passing)} of {len(ordered)} pass nowhere", "    ", console)
    console.print()


def _print_indented(text: str, lead: str, console: Console) -> None:
    lines = textwrap.wrap(text, max(console.width, 20), initial_indent=lead, subsequent_indent=" " * len(lead))
    console.print(Text("\n".join(lines)))
