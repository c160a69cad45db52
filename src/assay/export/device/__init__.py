"""Exported programs on small processors, emulated: what they answer, their size, and how long they take."""

from __future__ import annotations

from assay.errors import InputError
from assay.export.c99.program import Program
from assay.export.device.arm import CORES, measure_arm
from assay.export.device.avr import DEVICE, measure_avr
from assay.export.device.toolchain import Measurement
from assay.export.network import Array

DEVICES = (*CORES, DEVICE)


def measure(device: str, program: Program, inputs: Array) -> Measurement:
    """Build and run a program on a device. Raises InputError for an unknown one, MachineError as those do."""
    if device == DEVICE:
        return measure_avr(program, inputs)
    if device not in CORES:
        raise InputError("there is no such device", value=device, rule=f"one of {', '.join(DEVICES)}")
    return measure_arm(program, CORES[device], inputs)
