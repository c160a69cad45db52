"""`assay export RUN -o DIR`, and `assay export MODEL.py --c99 -o DIR`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from assay.applied.export import export_package
from assay.cli.export_network import NetworkOptions, export_network
from assay.cli.output import JsonFlag, RunsOption, print_json
from assay.errors import InputError
from assay.report.certificate import read_certificate
from assay.report.store import load_run
from assay.report.terminal import make_console

HELP = """Write an accepted run's kernel as a package that installs without Assay, or a small network as a program.

A kernel: RUN is an ID, a part of it, latest, or a certificate.json. The package holds the kernel's sources, the
reference as its fallback, a guard that compares shapes, types and layouts, a test, and the certificate.

A network: with --c99 or --onnx, WHAT is a model folder, or a file of yours with make_model() and example_inputs(), a
tensor [n, ...]. The C99 program needs no library and no heap, and a weight that is zero leaves no code. It is built and
run here, and compared with the PyTorch model before anything is written: docs/export.md.

Exit code: 0 written, 1 the program does not agree with the model, 2 bad input, 4 this machine lacks something, 70 a
fault of Assay's own.

Example: assay export latest -o fast_softmax
Example: assay export examples/life.py --c99 --binary-inputs --argmax -o life
Example: assay export digits.py --c99 --bits 8 --data held_out.npz --device cortex-m0plus -o digits
"""


def export(
    what: Annotated[str, typer.Argument(help="A run's ID, a part of it, latest, a certificate's file; or a model.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="A folder that does not exist yet.")],
    name: Annotated[str, typer.Option("--name", help="The package's or the program's name.")] = "",
    c99: Annotated[bool, typer.Option("--c99", help="A network as a C99 program.")] = False,
    onnx: Annotated[bool, typer.Option("--onnx", help="A network as an ONNX model, with the onnx package.")] = False,
    bits: Annotated[int, typer.Option("--bits", help="32: float; 8 or 16: integers of this width, weights of 8.")] = 32,
    argmax: Annotated[bool, typer.Option("--argmax", help="Answer with the number of the largest output.")] = False,
    binary_inputs: Annotated[
        bool, typer.Option("--binary-inputs", help="Inputs are 0 and 1: compare all of them, up to 2^25.")
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="FILE.npz", help="inputs [n, ...] to compare on, maybe targets [n]."),
    ] = None,
    caller_memory: Annotated[
        bool, typer.Option("--caller-memory", help="The caller hands over the working memory; no static array.")
    ] = False,
    form: Annotated[str, typer.Option("--form", help="Of weights: unrolled, dense, sparse; by size without it.")] = "",
    device: Annotated[
        str, typer.Option("--device", help="Measure on emulated: cortex-m0plus, cortex-m3, cortex-m4, atmega328p.")
    ] = "",
    seed: Annotated[int | None, typer.Option("--seed", help="Of a model folder with several.")] = None,
    folder: RunsOption = Path("runs"),
    as_json: JsonFlag = False,
) -> None:
    """Export, and say how to install or to build."""
    if c99 or onnx:
        options = NetworkOptions(name or "model", c99, onnx, bits, argmax, binary_inputs, data, caller_memory, form,
                                 device, seed)  # fmt: skip
        raise typer.Exit(export_network(Path(what), output, options, as_json))
    if what.endswith(".py"):
        raise InputError("a model needs to be told what to become", value=what, rule="--c99, --onnx, or both",
                         next_step=f"assay export {what} --c99 -o {output}")  # fmt: skip
    certificate = read_certificate(Path(what)) if what.endswith(".json") else load_run(folder, what)[1]
    made = export_package(certificate, output, name)
    if as_json:
        print_json({"package": str(made)})
    else:
        make_console().print(f"{made}: pip install {made}; python -m pytest {made / 'tests'}", soft_wrap=True)
