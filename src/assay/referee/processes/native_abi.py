"""What native code reads: a candidate its call (assay/kernel.h), its worker's loop the rest (native/serve.cpp)."""

from __future__ import annotations

import ctypes
from typing import Any

from assay.core.tensors import MAX_DIMS, Placement


class TensorRecord(ctypes.Structure):
    """`assay_tensor`."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("shape", ctypes.c_int64 * MAX_DIMS),
        ("stride", ctypes.c_int64 * MAX_DIMS),
        ("numel", ctypes.c_int64),
        ("ndim", ctypes.c_int32),
        ("dtype", ctypes.c_int32),
    )


class CallRecord(ctypes.Structure):
    """`assay_call`."""

    _fields_ = (
        ("abi_version", ctypes.c_int32),
        ("n_threads", ctypes.c_int32),
        ("n_inputs", ctypes.c_int32),
        ("n_weights", ctypes.c_int32),
        ("n_outputs", ctypes.c_int32),
        ("n_scalars", ctypes.c_int32),
        ("inputs", ctypes.POINTER(TensorRecord)),
        ("weights", ctypes.POINTER(TensorRecord)),
        ("outputs", ctypes.POINTER(TensorRecord)),
        ("scalars", ctypes.POINTER(ctypes.c_double)),
    )


class RollRecord(ctypes.Structure):
    """`assay_native_roll`."""

    _fields_ = (
        ("source", ctypes.c_void_p),
        ("target", ctypes.c_void_p),
        ("bytes", ctypes.c_int64),
        ("element_bytes", ctypes.c_int64),
    )


class StepRecord(ctypes.Structure):
    """`assay_native_step`."""

    _fields_ = (
        ("call", CallRecord),
        ("rolls", ctypes.POINTER(RollRecord)),
        ("output_bytes", ctypes.POINTER(ctypes.c_int64)),
        ("n_rolls", ctypes.c_int64),
    )


class SideRecord(ctypes.Structure):
    """`assay_native_side`."""

    _fields_ = (
        ("entry", ctypes.c_void_p),
        ("steps", ctypes.POINTER(StepRecord) * 2),
        ("n_steps", ctypes.c_int64),
        ("reply", ctypes.c_char_p),
        ("reply_bytes", ctypes.c_int64),
        ("refused_sequence", ctypes.c_uint64),
        ("refused_code", ctypes.c_int64),
    )


def descriptors(placement: Placement, base: int, addresses: list[int] | None = None) -> Any:
    """An array of `assay_tensor`: at `addresses`, or where `placement` puts them from `base` on."""
    array = (TensorRecord * max(len(placement.specs), 1))()
    where = addresses or [base + offset for offset in placement.offsets]
    for descriptor, spec, address in zip(array, placement.specs, where, strict=False):
        descriptor.data = address
        descriptor.shape[: len(spec.shape)] = spec.shape
        descriptor.stride[: len(spec.shape)] = spec.strides
        descriptor.numel, descriptor.ndim, descriptor.dtype = spec.numel, len(spec.shape), spec.dtype.code
    return array
