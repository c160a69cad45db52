"""How far an output is from the oracle's: the worst element and the worst row, in units of eps x scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay.core.dtypes import DType
from assay.core.tensors import TensorSpec
from assay.native.library import Deviation, library
from assay.referee.protocol.oracle_client import Array

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Error:
    """Errors of one output in units of the accumulation type's eps x scale."""

    worst_element: float
    worst_row: float
    where: tuple[int, ...]
    got: float
    wanted: float


def measure(got: Array, expected: Array, spec: TensorSpec) -> Error:
    """Errors of an output against the oracle's, both finite where it counts, in units of eps x scale."""
    if expected.size == 0:
        return Error(0.0, 0.0, (), 0.0, 0.0)
    return measured(got, expected, spec)[0]


def measured(got: Array, expected: Array, spec: TensorSpec) -> tuple[Error, bool]:
    """As `measure`, and whether NaN or infinity stand elsewhere than wanted."""
    found = _compare(got, expected, spec)
    where = tuple(int(i) for i in np.unravel_index(found.where, expected.shape))
    shown = float(widen(np.asarray(got)[where], spec.dtype)), float(expected[where])
    return Error(found.worst_element, found.worst_row, where, *shown), bool(found.special)


def _compare(got: Array, expected: Array, spec: TensorSpec) -> Deviation:
    """What native/deviation.cpp finds."""
    values = np.ascontiguousarray(got)
    wanted = np.ascontiguousarray(expected, dtype=np.float64)
    found = Deviation()
    failed = library().assay_native_deviation(
        values.ctypes.data, _NATIVE_TYPES[values.dtype.name], wanted.ctypes.data, *_in_rows(wanted).shape,
        unit(spec.dtype), LARGEST[spec.dtype], found,
    )  # fmt: skip
    assert not failed, values.dtype
    return found


_NATIVE_TYPES = {"float32": 1, "float64": 2, "float16": 3, "uint16": 4}
"""Types that deviation.cpp takes; bfloat16 arrives as its 16-bit patterns."""

_SHORT_ROW = 8
"""Rows shorter than this have no meaningful root mean square of their own; the whole output serves."""


def widen(array: Array, dtype: DType) -> Float:
    """Any floating array as float64; bfloat16 arrives as 16-bit patterns."""
    if dtype is DType.BFLOAT16 and array.dtype == np.uint16:
        return (array.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    with np.errstate(invalid="ignore"):  # poison that stayed in place may be a signalling NaN
        return array.astype(np.float64)


def scale_of(exact: Float) -> Float:
    """What an element's error is relative to, as in native/deviation.cpp: the largest of itself, row and output."""
    rows = _in_rows(exact)
    power = np.mean(rows**2, axis=1, keepdims=True)
    scale: Float = np.maximum(np.abs(rows), np.sqrt(np.maximum(power, power.mean())))
    return scale.reshape(exact.shape)


def _in_rows(array: Array) -> Array:
    by_row = array.ndim > 1 and array.shape[-1] >= _SHORT_ROW
    return array.reshape(-1, array.shape[-1] if by_row else max(array.size, 1))


def unit(dtype: DType) -> float:
    """eps of the type that careful code accumulates in."""
    return DType.FLOAT64.eps if dtype is DType.FLOAT64 else DType.FLOAT32.eps


LARGEST = {
    DType.FLOAT32: float(np.finfo(np.float32).max),
    DType.FLOAT64: float(np.finfo(np.float64).max),
    DType.FLOAT16: 65504.0,
    DType.BFLOAT16: 3.3895313892515355e38,
}
