"""`assay judge-model DENSE CHEAP --data DATA.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from assay import claims
from assay.claims.quality import Margin
from assay.claims.settings import ClaimSettings, parse_costs, parse_seeds
from assay.claims.terminal import render_claim
from assay.cli.claim_options import AtMostOption, CostOption, MarginOption
from assay.cli.exits import BY_VERDICT
from assay.cli.output import JsonFlag, print_json
from assay.report.progress import ProgressLine
from assay.report.store import CERTIFICATE

HELP = """Is a cheap model as good as its dense sibling, and really cheaper?

DENSE and CHEAP are model folders, as assay compress writes them. DATA is a Python file of yours with held_out() and
score(outputs, targets): docs/judge-model.md. Models run in confined processes that get inputs only.

ACCEPT where the cheap model is not inferior by the margin, and every claimed cost lies below --at-most of the dense
model's with 95 % confidence. Prints the verdict; writes a signed certificate and a page to runs/.

Exit code: 0 accepted, 1 rejected, 2 bad input, 3 inconclusive, 4 this machine lacks something, 70 a fault of Assay's
own.

Example: assay judge-model dense cheap --data held_out.py --margin 0.02 --cost throughput,memory --at-most 0.5
"""


def judge_model(
    dense: Annotated[Path, typer.Argument(help="The folder of the model to be as good as.")],
    cheap: Annotated[Path, typer.Argument(help="The folder of the model that is to be cheaper.")],
    data: Annotated[Path, typer.Option("--data", help="Held-out data and score.")],
    margin: MarginOption = "0.02",
    cost: CostOption = "throughput",
    at_most: AtMostOption = 1.0,
    seeds: Annotated[str, typer.Option("--seeds", help="Which seeds, as in 0,1,2; all without it.")] = "",
    rounds: Annotated[int, typer.Option("--rounds", help="Fresh processes of each model.")] = 6,
    turns: Annotated[int, typer.Option("--turns", help="Timed calls of each kind in a round.")] = 12,
    threads: Annotated[int, typer.Option("--threads", help="For both; with one, time is CPU time.")] = 1,
    runs: Annotated[Path, typer.Option("--runs", "-o", help="Where runs are kept.")] = Path("runs"),
    as_json: JsonFlag = False,
) -> None:
    """Judge, write the run, print, exit with the verdict's code."""
    settings = ClaimSettings(
        margin=Margin.parse(margin), costs=parse_costs(cost), at_most=at_most, rounds=rounds, turns=turns,
        threads=threads, seeds=parse_seeds(seeds) if seeds else None,
    )  # fmt: skip
    with ProgressLine() as progress:
        judgement = claims.judge_model(dense, cheap, data, settings, progress)
    claim, run = claims.publish_claim(judgement, runs)
    if as_json:
        print_json(claim)
    else:
        render_claim(claim, run.folder / CERTIFICATE)
    raise typer.Exit(BY_VERDICT[judgement.verdict])
