"""AVR: an ATmega328P, built by avr-gcc and run under simavr.

The program counts its own cycles with the processor's timer, once at full pace and once at a 1024th: the first is exact
modulo 65,536, the second says how often that was passed. simavr times each instruction as the data sheet does.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import numpy as np

from assay.errors import MachineError
from assay.export.c99.program import Program
from assay.export.checking import TYPES, definitions, write_files
from assay.export.device.toolchain import Measurement, as_outputs, require, run_tool, section_sizes
from assay.export.network import Array

HERE = Path(__file__).parent
DEVICE = "atmega328p"
FREQUENCY_HZ = 16_000_000
RAM_BYTES = 2048
_FLAGS = (f"-mmcu={DEVICE}", "-std=gnu99", "-Os", "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections")
_IMAGE_BYTES = 12 << 10
"""Of inputs in one image, whose flash is 32 KB."""
_TIMED = 4
_SLOW_PACE, _WRAP = 1024, 1 << 16
_SAID = re.compile(r"^(?:\x1b\[[0-9;]*m)*([ot])([0-9a-f]+)", re.MULTILINE)


def measure_avr(program: Program, inputs: Array) -> Measurement:
    """Build a program for an ATmega328P, and have it answer inputs [n, inputs] of the program's own type.

    Raises MachineError where a tool is missing or fails, and where the program does not fit 32 KB and 2 KB.
    """
    require("avr-gcc", "avr-size", "simavr")
    given = np.ascontiguousarray(inputs.reshape(-1, program.inputs), TYPES[program.input_type])
    with tempfile.TemporaryDirectory(prefix="assay-avr-") as name:
        folder = Path(name)
        write_files(program, folder)
        # The linker refuses what does not fit in words about sections; here it is said in bytes.
        bare = _build(program, folder, "bare_main.c", "-Wl,--defsym=__DATA_REGION_LENGTH__=0xff00")
        flash, static = section_sizes("avr-size", bare)
        if static >= RAM_BYTES:
            raise MachineError("the program does not fit the device", value=f"{static} bytes of RAM without its stack",
                               rule=f"{DEVICE} has {RAM_BYTES}")  # fmt: skip
        room = (31 << 10) - flash
        rows = max(min(_IMAGE_BYTES, room - (1 << 10)) // (given.itemsize * program.inputs), 1)
        outputs, timed = [], list[Array]()
        for at in range(0, len(given), rows):
            found, times = _answers(program, folder, given[at : at + rows], _TIMED if at == 0 else 0)
            outputs.append(found)
            timed += times
    exact = [_cycles(int(fast), int(slow)) for fast, slow, _ in timed]
    stack = max(int(each[2]) for each in timed)
    return Measurement(DEVICE, np.concatenate(outputs), flash, static, stack, None, float(np.mean(exact)))


def _build(program: Program, folder: Path, main: str, *flags: str) -> Path:
    image = folder / Path(main).with_suffix(".elf").name
    sources = [HERE / main, folder / f"{program.name}.c"]
    run_tool(["avr-gcc", *_FLAGS, *flags, *definitions(program), f"-I{folder}", *sources, "-o", image], folder)
    return image


def _answers(program: Program, folder: Path, given: Array, timed: int) -> tuple[Array, list[Array]]:
    raw = given.tobytes()
    numbers = ",".join(str(byte) for byte in raw)
    (folder / "inputs.h").write_text(f"static const __flash uint8_t given[{len(raw)}] = {{{numbers}}};\n")
    image = _build(program, folder, "avr_main.c", f"-DNUMBER={len(given)}", f"-DTIMED={timed}")
    said = run_tool(["simavr", "-m", DEVICE, "-f", str(FREQUENCY_HZ), image], folder, 300.0)
    lines = [(found[1], bytes.fromhex(found[2])) for found in _SAID.finditer(said)]
    kind, width = TYPES[program.output_type], program.outputs
    outputs = as_outputs(b"".join(raw for name, raw in lines if name == "o"), kind, width)
    times = [as_outputs(raw, np.uint16, 3)[0] for name, raw in lines if name == "t"]
    if len(outputs) != len(given) or len(times) != min(timed, len(given)):
        raise MachineError(
            "the emulated program stopped early", value=f"{len(outputs)} of {len(given)} answers: {said[-300:]}"
        )
    return outputs, times


def _cycles(fast: int, slow: int) -> int:
    """The number that is `fast` modulo 65,536 and nearest to `slow` times 1024."""
    wraps = round((slow * _SLOW_PACE + _SLOW_PACE / 2 - fast) / _WRAP)
    return fast + max(wraps, 0) * _WRAP
