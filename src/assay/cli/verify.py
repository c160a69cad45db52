"""`assay verify CERTIFICATE`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from assay import claims
from assay.claims.reading import is_claim, read_any
from assay.claims.terminal import render_claim_replay
from assay.cli.exits import Exit
from assay.cli.output import JsonFlag, print_json
from assay.errors import InputError
from assay.report.progress import ProgressLine
from assay.report.replay import Holds, replay
from assay.report.tables import render_replay

HELP = """Replay somebody's certificate here: does it hold?

Checks layout, identity and signature, repeats the inputs on which a rejected candidate was wrong, then judges the
sources again with the same settings, fresh processes and new secrets. Nothing in the certificate is trusted: its
candidate is built and run in the sandbox.

A certificate of assay judge-model holds no weights: name the folders and the data to have the models judged again;
without them its signature is checked, and its verdict computed from its own evidence again.

Exit code: 0 it holds, 1 it does not, 3 this run does not decide.

Example: assay verify runs/20261122T064719Z-1a2b3c4d5e6f/certificate.json
Example: assay verify certificate.json --dense dense --cheap cheap --data held_out.py
"""

_CODES = {Holds.YES: Exit.ACCEPTED, Holds.NO: Exit.REJECTED, Holds.UNDECIDED: Exit.INCONCLUSIVE}


def verify(
    certificate: Annotated[Path, typer.Argument(help="A certificate.json.")],
    dense: Annotated[Path | None, typer.Option("--dense", help="A claim's dense model folder.")] = None,
    cheap: Annotated[Path | None, typer.Option("--cheap", help="A claim's cheap model folder.")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="A claim's data file.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Replay, print, exit with what it showed."""
    read = read_any(certificate)
    if is_claim(read):
        raise typer.Exit(_verify_claim(read, (dense, cheap, data), as_json))
    if any(each is not None for each in (dense, cheap, data)):
        raise InputError("this certificate is about a kernel", value=str(certificate),
                         rule="--dense, --cheap and --data belong to certificates of assay judge-model")  # fmt: skip
    with ProgressLine() as progress:
        result = replay(read, progress)
    if as_json:
        print_json(result.to_json())
    else:
        render_replay(result, read)
    raise typer.Exit(_CODES[result.holds])


def _verify_claim(claim: dict[str, Any], given: tuple[Path | None, ...], as_json: bool) -> Exit:
    named = [each for each in given if each is not None]
    if named and len(named) < len(given):
        raise InputError("a claim needs all three to be judged again", rule="--dense, --cheap and --data")
    with ProgressLine() as progress:
        result = claims.replay_claim(claim, (named[0], named[1], named[2]) if named else None, progress)
    if as_json:
        print_json(result.to_json())
    else:
        render_claim_replay(result, claim)
    return _CODES[result.holds]
