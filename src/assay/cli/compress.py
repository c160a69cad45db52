"""`assay compress TRAIN.py`: a cheaper model, and whether it is as good."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from assay import compress as compressing
from assay.claims.quality import Margin
from assay.claims.settings import ClaimSettings, parse_costs
from assay.claims.terminal import render_claim
from assay.cli.claim_options import AtMostOption, CostOption, MarginOption
from assay.cli.exits import BY_VERDICT
from assay.cli.output import JsonFlag, print_json
from assay.errors import InputError
from assay.report.progress import ProgressLine
from assay.report.terminal import make_console

HELP = """Make a model cheaper, and certify that it is as good.

TRAIN.py is a training (make_model, make_optimizer, loss, get_batch; docs/training.md). With --sparse its linear layers
lose blocks of weights while it trains; with --moe its feed-forward layers become mixtures of experts; with --prune
single weights or whole channels go, and what they leave needless with them. The dense model gets as many steps on the
same batches. Both are written as model folders, loaded again in fresh processes, and judged
as assay judge-model does: not worse than the margin on held-out data, and cheaper.

Held-out data and their score are held_out() and score(outputs, targets) of --data FILE or of TRAIN.py; without any they
are batches of numbers that training never uses, scored by the training's loss.

A run that was interrupted goes on with --resume, from a state at most 30 seconds old. docs/compress.md has the rest.

Exit code: 0 accepted, 1 rejected, 2 bad input, 3 inconclusive, 4 this machine lacks something, 70 a fault of Assay's
own, 130 interrupted.

Example: assay compress examples/train_bytes.py --sparse 0.8 --modules '*feed_forward*' --steps 400 --margin 3%
Example: assay compress examples/train_bytes.py --moe 8x2 --width 64 --steps 400 --margin 3%
Example: assay compress examples/train_fashion.py --prune 0.9 --method structured --cost latency --margin 0.005
Example: assay compress train.py --sparse 0.9 --dense trained/ --data held_out.py --margin 1%
"""


def compress(
    training: Annotated[Path, typer.Argument(help="The training.", metavar="TRAIN.py")],
    sparse: Annotated[
        float | None, typer.Option("--sparse", help="The share of blocks that goes, such as 0.9.")
    ] = None,
    block: Annotated[int, typer.Option("--block", help="With --sparse: the blocks' side, 8, 16, 32 or 64.")] = 32,
    moe: Annotated[str, typer.Option("--moe", metavar="ExK", help="Experts, and how many for a token: 16x2.")] = "",
    width: Annotated[int | None, typer.Option("--width", help="With --moe: of an expert.")] = None,
    prune: Annotated[
        float | None, typer.Option("--prune", help="The share of single weights that goes, such as 0.9.")
    ] = None,
    method: Annotated[
        str | None, typer.Option("--method", help="With --prune: how they are chosen; magnitude without it.")
    ] = None,
    scope: Annotated[
        str | None,
        typer.Option("--scope", help="With --prune: global ranks all weights together, local in each layer."),
    ] = None,
    modules: Annotated[
        str, typer.Option("--modules", metavar="GLOBS", help="Which layers, by names: 'blocks.*.up,head'.")
    ] = "",
    steps: Annotated[int, typer.Option("--steps", help="Of the dense model's training.")] = 1000,
    further: Annotated[
        int | None, typer.Option("--further", help="Of both models' training after it; as many without it.")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", help="How many times, each from other initial weights.")] = 3,
    dense: Annotated[
        Path | None, typer.Option("--dense", metavar="DIR", help="Begin with this model folder's weights.")
    ] = None,
    data: Annotated[Path | None, typer.Option("--data", metavar="FILE", help="Held-out data and their score.")] = None,
    margin: MarginOption = "0.02",
    cost: CostOption = "throughput",
    at_most: AtMostOption = 1.0,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="Where all is written; runs/compress-TRAIN.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the output folder.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Choose, train, write, judge, print, exit with the verdict's code."""
    settings = compressing.CompressSettings(
        _method(sparse, block, moe, width, prune, method, scope), steps, further, seeds, modules
    )
    claim = ClaimSettings(margin=Margin.parse(margin), costs=parse_costs(cost), at_most=at_most)
    folder = output or Path("runs") / f"compress-{training.stem}"
    console = make_console(stderr=as_json)
    with ProgressLine() as progress:
        progress("choosing layers", 0.0)
        prepared = compressing.prepare(training, settings, claim, data, dense)
        progress.close()
        _print_plan(prepared, console)
        try:
            found = compressing.compress(prepared, folder, resume=resume, progress=progress)
        except KeyboardInterrupt:
            progress.close()
            make_console(stderr=True).print(f"What was trained is in {folder}; --resume goes on.", soft_wrap=True)
            raise
    if as_json:
        print_json(_summary(found))
    else:
        _print_result(found, console)
    raise typer.Exit(BY_VERDICT[found.judgement.verdict])


def _method(
    sparse: float | None, block: int, moe: str, width: int | None, prune: float | None, method: str | None,
    scope: str | None,
) -> Any:  # fmt: skip
    given = {"--sparse": sparse is not None, "--moe": bool(moe), "--prune": prune is not None}
    if sum(given.values()) != 1:
        raise InputError(
            f"one of {', '.join(given)} says what to do",
            value=" and ".join(name for name, is_given in given.items() if is_given) or "none",
            rule="one of them in a run", next_step="assay compress train.py --sparse 0.9, --moe 16x2 or --prune 0.9",
        )  # fmt: skip
    if width is not None and not moe:
        raise InputError("--width belongs to --moe", value=str(width))
    for name, value in (("--method", method), ("--scope", scope)):
        if value is not None and prune is None:
            raise InputError(f"{name} belongs to --prune", value=value[:100])
    if prune is not None:
        return compressing.Prune(prune, method or "magnitude", scope or "global")
    if sparse is not None:
        return compressing.Sparse(sparse, block)
    return compressing.Mixture.parse(moe, width)


def _print_plan(prepared: Any, console: Console) -> None:
    """What will be done, before anything takes long."""
    table = Table("layer", "size", "becomes", box=None, padding=(0, 3, 0, 0))
    for layer in prepared.choice.layers:
        table.add_row(layer.name, f"{layer.out_features} x {layer.in_features}", layer.becomes)
    for name, reason in prepared.choice.left.items():
        table.add_row(name, "", f"stays: {reason}", style="dim")
    console.print(table)
    for sentence in prepared.words:
        console.print(sentence)


def _print_result(found: Any, console: Console) -> None:
    render_claim(found.certificate, found.run.certificate, console)
    for name, path in (("Page", found.run.page), ("Dense", found.folder.dense), ("Cheap", found.folder.cheap)):
        console.print(f"{name:<12} {path}", soft_wrap=True)


def _summary(found: Any) -> dict[str, Any]:
    folder = found.folder
    return {"output": str(folder.path), "dense": str(folder.dense), "cheap": str(folder.cheap),
            "certificate": str(found.run.certificate), "training": found.training,
            **found.judgement.to_json()}  # fmt: skip
