"""A claim's certificate on a terminal, and what looking at somebody's claim again showed."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from assay.claims.replayed import ClaimReplay
from assay.claims.words import MEANING, cost_rows, facts
from assay.report.hostile import one_line
from assay.report.replay import Holds
from assay.report.tables import plain_grid, plain_table
from assay.report.terminal import VERDICT_STYLES, make_console, print_findings, print_sentences

_STYLES = {Holds.YES: "bold green", Holds.NO: "bold red", Holds.UNDECIDED: "bold yellow"}


def render_claim(claim: Mapping[str, Any], path: Path | None = None, console: Console | None = None) -> None:
    """Print a certificate; `path` is where it lies."""
    console = console or make_console()
    verdict = claim["verdict"]
    style = VERDICT_STYLES[verdict]
    grid = plain_grid()
    for name, words in facts(claim):
        grid.add_row(name, Text(one_line(words)))
    console.print(Panel(grid, title=Text(f" {verdict} ", style), title_align="left",
                        subtitle=Text(f" {MEANING[verdict]} "), subtitle_align="left",
                        border_style=style.split()[-1], padding=(1, 2)))  # fmt: skip
    console.print()
    table = plain_table("Cost", "Dense", "Cheap", "Ratio")
    for name, _, dense, cheap, ratio in cost_rows(claim):
        table.add_row(*(Text(one_line(words, 160)) for words in (name, dense, cheap, ratio)))
    console.print(table)
    console.print()
    print_findings(claim["findings"], console)
    print_sentences("Covered", claim["covered"], "+", console)
    print_sentences("Not covered", claim["not_covered"], "-", console)
    if path is not None:
        console.print(Text("Certificate  ", "bold").append(str(path), ""), soft_wrap=True)
        command = f"assay verify {shlex.quote(str(path))} --dense DENSE --cheap CHEAP --data DATA.py"
        console.print(Text("Run again    ", "bold").append(command, ""), soft_wrap=True)


def render_claim_replay(replay: ClaimReplay, claim: Mapping[str, Any], console: Console | None = None) -> None:
    """Print what a replay showed beside what was claimed."""
    console = console or make_console()
    outcome = Text(f"{replay.holds.value.replace('-', ' ')}: ", _STYLES[replay.holds]).append(replay.reason, "")
    key = replay.signature.fingerprint or "no key"
    grid = plain_grid()
    grid.add_row("Outcome", outcome)
    grid.add_row("Signature", Text(f"{one_line(replay.signature.reason)} ({key})"))
    for name, words in facts(claim):
        grid.add_row(name, Text(one_line(words)))
    if replay.here is not None:
        grid.add_row("Here", Text(replay.here.verdict.value))
    console.print(grid)
    if replay.here is not None:
        console.print()
        print_findings([finding.to_json() for finding in replay.here.findings], console)
