"""What the launcher of device code reads: native/device.h, field by field."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from assay.launch.resolved import Parameter, ResolvedLaunch

_SPACES = {"in": 1, "weight": 2, "out": 3, "scratch": 4}


class ParameterRecord(ctypes.Structure):
    """`assay_device_parameter`."""

    _fields_ = (("space", ctypes.c_int32), ("bytes", ctypes.c_int32), ("value", ctypes.c_int64))


class LaunchRecord(ctypes.Structure):
    """`assay_device_launch`."""

    _fields_ = (
        ("kernel", ctypes.c_char_p),
        ("module", ctypes.c_int64),
        ("grid", ctypes.c_uint32 * 3),
        ("block", ctypes.c_uint32 * 3),
        ("cluster", ctypes.c_uint32 * 3),
        ("shared_bytes", ctypes.c_uint32),
        ("n_parameters", ctypes.c_int32),
        ("parameters", ctypes.POINTER(ParameterRecord)),
    )


class WorkRecord(ctypes.Structure):
    """`assay_device_work`."""

    _fields_ = (
        ("inputs", ctypes.c_void_p),
        ("weights", ctypes.c_void_p),
        ("outputs", ctypes.c_void_p * 2),
        ("input_bytes", ctypes.c_int64),
        ("weight_bytes", ctypes.c_int64),
        ("output_bytes", ctypes.c_int64),
        ("scratch_bytes", ctypes.c_int64),
        ("launches", ctypes.POINTER(LaunchRecord)),
        ("n_launches", ctypes.c_int64),
    )


def launch_record(launch: ResolvedLaunch, offsets: dict[str, Sequence[int]]) -> LaunchRecord:
    """One launch; `offsets` says by role ("in", "weight", "out", "scratch") where each tensor lies in its block."""
    parameters = (ParameterRecord * max(len(launch.parameters), 1))(
        *(_parameter_record(parameter, offsets) for parameter in launch.parameters)
    )
    three = ctypes.c_uint32 * 3
    sizes = (three(*each) for each in (launch.grid, launch.block, launch.cluster))
    count = len(launch.parameters)
    return LaunchRecord(launch.kernel.encode(), launch.module, *sizes, launch.shared_bytes, count, parameters)


def _parameter_record(parameter: Parameter, offsets: dict[str, Sequence[int]]) -> ParameterRecord:
    if parameter.memory is None:
        value = int.from_bytes(parameter.bytes.ljust(8, b"\0"), "little", signed=True)
        return ParameterRecord(0, len(parameter.bytes), value)
    role, index = parameter.memory
    return ParameterRecord(_SPACES[role], 8, offsets[role][index])
