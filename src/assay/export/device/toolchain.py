"""Compilers and emulators: found or missed by name, run with a time limit, and what they find out about a program."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from assay.errors import MachineError
from assay.export.network import Array

PACKAGES = {
    "arm-none-eabi-gcc": "gcc-arm-none-eabi", "arm-none-eabi-objdump": "binutils-arm-none-eabi",
    "arm-none-eabi-size": "binutils-arm-none-eabi", "qemu-system-arm": "qemu-system-arm",
    "avr-gcc": "gcc-avr avr-libc", "avr-size": "binutils-avr", "simavr": "simavr",
}  # fmt: skip
"""Debian's package of each program."""


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """What a program takes on a device.

    `outputs` are its answers [n, outputs]; `instructions` and `cycles` are means over a few answers, None where they
    are not known: instructions on AVR, cycles on Cortex-M3 and M4, whose pipelines the emulator does not have.
    `static_bytes` are data and bss with input and output; `stack_bytes` what a call writes below its caller's stack.
    """

    device: str
    outputs: Array
    flash_bytes: int
    static_bytes: int
    stack_bytes: int
    instructions: float | None
    cycles: float | None

    @property
    def ram_bytes(self) -> int:
        """Static memory and stack."""
        return self.static_bytes + self.stack_bytes


def require(*programs: str) -> None:
    """Raises MachineError for the first program that is not on PATH."""
    for program in programs:
        if shutil.which(program) is None:
            raise MachineError(
                "this machine lacks a program", value=program, rule="cross compilers and emulators measure a device",
                next_step=f"install it (Debian: apt-get install {PACKAGES[program]})",
            )  # fmt: skip


def run_tool(command: Sequence[str | Path], folder: Path, seconds: float = 120.0) -> str:
    """What a program says that ends well, on both of its streams; it dies with its time.

    Raises MachineError with its last words.
    """
    process = subprocess.Popen(
        [str(each) for each in command], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise MachineError("a tool does not end", value=str(command[0]), rule=f"{seconds:g} s") from error
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if process.returncode:
        said = output.decode(errors="replace").replace(f"{folder}/", "").strip()[-1500:]
        raise MachineError(f"{Path(str(command[0])).name} fails", value=f"exit status {process.returncode}: {said}")
    return output.decode(errors="replace")


def section_sizes(program: str, file: Path) -> tuple[int, int]:
    """Flash (text and data) and static RAM (data and bss), in bytes, as binutils' size has them."""
    text, data, bss, *_ = map(int, run_tool([program, file], file.parent).splitlines()[1].split()[:3])
    return text + data, data + bss


def as_outputs(raw: bytes, kind: type, width: int) -> Array:
    """Raw little-endian numbers as [n, width]."""
    found = np.frombuffer(raw, np.dtype(kind).newbyteorder("<"))
    return found[: found.size // width * width].reshape(-1, width)
