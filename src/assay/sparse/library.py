"""Loads the block-sparse kernels for the instruction set that this processor has, building them on first use.

One source is compiled for AVX-512, AVX2 and any processor; which one runs is decided here, at run time, by the
processor's flags. `ASSAY_SPARSE_ISA` asks for another one (to compare them, or to debug).
"""

from __future__ import annotations

import ctypes
import os
from functools import lru_cache
from pathlib import Path

from assay.errors import InputError, MachineError
from assay.native.building import shared_object

KERNELS = Path(__file__).parent / "kernels"
ISA_VARIABLE = "ASSAY_SPARSE_ISA"
INSTRUCTION_SETS = {
    "avx512": ("avx512f", "avx512vl", "avx512bw", "avx512dq", "fma"),
    "avx2": ("avx2", "fma"),
    "portable": (),
}
"""From the widest to the one that every processor has: the flags that the compiler and the processor share."""
_FLAGS = (
    "-std=c++17",
    "-Werror=return-type",
    "-O3",
    "-fopenmp",
    "-fPIC",
    "-fno-math-errno",
    "-mtune=native",
)
_WIDE = "-mprefer-vector-width=512"

_number, _pointer, _int = ctypes.c_int64, ctypes.c_void_p, ctypes.c_int32


class Multiply(ctypes.Structure):
    """`AssayMultiply` of arguments.h."""

    _fields_ = (
        ("rows", _number), ("in_features", _number), ("out_features", _number),
        ("x_stride", _number), ("y_stride", _number), ("x", _pointer), ("y", _pointer),
        ("row_starts", _pointer), ("columns", _pointer), ("values", _pointer), ("scales", _pointer),
        ("bias", _pointer), ("block", _int), ("kind", _int), ("threads", _int),
    )  # fmt: skip


class Gradient(ctypes.Structure):
    """`AssayGradient` of arguments.h."""

    _fields_ = (
        ("rows", _number), ("in_features", _number), ("out_features", _number),
        ("x_stride", _number), ("g_stride", _number), ("x", _pointer), ("g", _pointer),
        ("row_starts", _pointer), ("columns", _pointer), ("out", _pointer),
        ("block", _int), ("kind", _int), ("threads", _int),
    )  # fmt: skip


class Grouped(ctypes.Structure):
    """`AssayGrouped` of arguments.h."""

    _fields_ = (
        ("groups", _number), ("x_rows", _number), ("y_rows", _number), ("rows", _number), ("in_features", _number),
        ("out_features", _number), ("ends", _pointer), ("x_index", _pointer), ("y_index", _pointer),
        ("x_stride", _number), ("y_stride", _number), ("x", _pointer), ("y", _pointer), ("w", _pointer),
        ("w_group", _number), ("w_in", _number), ("w_out", _number), ("bias", _pointer), ("bias_group", _number),
        ("scales", _pointer), ("kind", _int), ("threads", _int),
    )  # fmt: skip


def instruction_set() -> str:
    """The one in use. Raises InputError for an ASSAY_SPARSE_ISA that is unknown or that this processor lacks."""
    return _chosen(os.environ.get(ISA_VARIABLE))


@lru_cache(maxsize=len(INSTRUCTION_SETS) + 1)
def _chosen(asked: str | None) -> str:
    """Cached, as working it out takes 3 us of a call."""
    flags = _processor_flags()
    able = [name for name, needs in INSTRUCTION_SETS.items() if set(needs) <= flags]
    if asked is None:
        return able[0]
    if asked not in able:
        raise InputError(
            f"{ISA_VARIABLE} asks for an instruction set that cannot be used",
            value=asked,
            rule=f"this processor has {', '.join(able)}",
            next_step=f"unset {ISA_VARIABLE} to use {able[0]}",
        )
    return asked


def kernels() -> ctypes.CDLL:
    """The loaded library. Raises MachineError without a compiler, or where it cannot build or load."""
    return load(instruction_set())


@lru_cache(maxsize=len(INSTRUCTION_SETS))
def load(isa: str) -> ctypes.CDLL:
    """The kernels for one instruction set; 10 s for AVX-512 on the first call on a machine."""
    flags = (*_FLAGS, *(f"-m{each}" for each in INSTRUCTION_SETS[isa]), *((_WIDE,) if isa == "avx512" else ()))
    sources, headers = sorted(KERNELS.glob("*.cpp")), sorted(KERNELS.glob("*.h"))
    path = shared_object(f"sparse-{isa}", sources, flags, "run sparse layers", headers)
    found = ctypes.CDLL(str(path))
    found.assay_block_multiply.argtypes = (ctypes.POINTER(Multiply),)
    found.assay_block_gradient.argtypes = (ctypes.POINTER(Gradient),)
    found.assay_route.argtypes = (_pointer, _number, _number, _number, _int, *4 * (_pointer,))
    found.assay_gate.argtypes = (_pointer, _pointer, *3 * (_number,), *3 * (_int,), *6 * (_pointer,))
    found.assay_sparse_convolution.argtypes = (_pointer,)
    found.assay_block_transpose.argtypes = (_pointer, _pointer, _pointer, _number, _number, _int)
    found.assay_grouped_multiply.argtypes = (ctypes.POINTER(Grouped),)
    found.assay_grouped_outer.argtypes = (ctypes.POINTER(Grouped),)
    found.assay_group_rows.argtypes = (_pointer, _number, _number, _number, _pointer, _pointer, _pointer)
    return found


def check(status: int, what: str) -> None:
    """Raises MachineError for a kernel's status that is not 0."""
    if status:
        raise MachineError(
            f"the {what} kernel could not run",
            value="memory is short" if status == 2 else f"status {status}",
            rule="a kernel needs up to a few MB beside its operands",
            next_step="free memory, or make the batch smaller",
        )


@lru_cache(maxsize=1)
def _processor_flags() -> frozenset[str]:
    try:
        with open("/proc/cpuinfo") as file:
            line = next((line for line in file if line.startswith("flags")), "")
    except OSError:
        line = ""
    return frozenset(line.partition(":")[2].split())
