"""From a model to an exported, compared program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from assay.errors import InputError
from assay.export.agreement import Agreement, Case, compare
from assay.export.c99.convolution import Form
from assay.export.c99.numerics import AVR_TAP_BYTES
from assay.export.c99.program import Program, write_program
from assay.export.checking import built
from assay.export.device.avr import DEVICE as AVR
from assay.export.folding import fold
from assay.export.network import Array
from assay.export.onnx_file import run_onnx, write_onnx
from assay.export.quantise import quantise
from assay.export.reading import read_network

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """What kind of program is written.

    `bits` is 32 for float, or 8 or 16 for integer activations; `decides` makes the number of the largest output its
    answer; `binary` inputs are 0 and 1, and all of them are compared; `form` overrides how weights appear;
    else it is chosen by what straight-line code takes on `device`, or on Thumb.
    """

    name: str = "model"
    bits: int = 32
    decides: bool = False
    binary: bool = False
    own_arena: bool = True
    form: Form | None = None
    device: str = ""

    def __post_init__(self) -> None:
        if self.bits not in (8, 16, 32):
            raise InputError("numbers have no such width", value=str(self.bits), rule="8, 16, or 32 for float")


@dataclass(frozen=True, slots=True)
class Exported:
    """A program and what comparing it found; `case` has the networks that it was made of."""

    program: Program
    case: Case
    agreement: Agreement


@dataclass(frozen=True, slots=True)
class Data:
    """What a program is calibrated and compared with: `inputs` [n, ...], maybe `targets` [n], `calibration` inputs."""

    inputs: Tensor
    calibration: Tensor
    targets: Array | None = None


def networks(model: nn.Module, example: Tensor, decides: bool) -> Case:
    """The network as read and as folded. Raises InputError as `read_network` does."""
    read = read_network(model, example)
    read = replace(read, decides=read.decides or decides)
    return Case(read, fold(read.before_decision() if read.decides else read))


def export_c99(
    model: nn.Module, data: Data, settings: ExportSettings, progress: Progress = lambda _what, _share: None
) -> Exported:
    """Write, build and compare a C99 program. Raises InputError for a model or settings that cannot be exported."""
    progress("reading the model", 0.0)
    case = networks(model, data.inputs, settings.decides)
    if settings.bits != 32:
        calibration = data.calibration.numpy().astype(np.float64)
        case = replace(case, integer=quantise(case.lean, calibration, bits=settings.bits, binary=settings.binary))
    network = case.integer or case.lean
    program = write_program(network, settings.name, form=settings.form, own_arena=settings.own_arena,
                            tap_bytes=AVR_TAP_BYTES if settings.device == AVR else None)  # fmt: skip
    progress("building it", 0.0)
    with built(program) as host:
        agreement = compare(host, case, model, *_given(data, settings), progress)
    return Exported(program, case, agreement)


def export_onnx(
    model: nn.Module, data: Data, settings: ExportSettings, progress: Progress = lambda _what, _share: None
) -> tuple[bytes, Agreement]:
    """Write and compare an ONNX model, by onnx's reference implementation. Raises as `export_c99`, and MachineError."""
    if settings.bits != 32:
        raise InputError("ONNX files are written in float only", value=f"{settings.bits} bits", rule="32 bits")
    progress("reading the model", 0.0)
    case = networks(model, data.inputs, settings.decides)
    content = write_onnx(case.lean, settings.name)

    def run(inputs: Array) -> Array:
        return run_onnx(content, inputs, case.lean).reshape(len(inputs), -1)

    return content, compare(run, case, model, *_given(data, settings), progress)


def _given(data: Data, settings: ExportSettings) -> tuple[Array | None, Array | None]:
    if settings.binary:
        return None, None
    inputs: Array = data.inputs.to(torch.float32).numpy()
    return inputs, data.targets
