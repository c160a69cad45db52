"""Cortex-M: built by arm-none-eabi-gcc without any library, run under qemu-system-arm.

Instructions are counted exactly, from qemu's trace with one instruction a block, between two marks in the program.
Cycles are counted for the Cortex-M0+, whose manual gives every instruction a fixed time, on memory without wait states
and with the one-cycle multiplier: an STM32L0 up to 16 MHz is such a machine. Cortex-M3 and M4 overlap instructions in
ways that no table gives, so for them there are instructions only.

qemu 7.2 emulates no M0+; its M0 runs the same instruction set, and how often each instruction runs is the same.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from assay.errors import MachineError
from assay.export.c99.program import Program
from assay.export.checking import TYPES, definitions, write_files
from assay.export.device.toolchain import Measurement, as_outputs, require, run_tool, section_sizes
from assay.export.network import Array

HERE = Path(__file__).parent
_SEMIHOSTING = ("-nographic", "-monitor", "none", "-serial", "none", "-semihosting-config", "enable=on,target=native")
_TRACED_INPUTS, _MOST_TRACED = 4, 2_000_000
"""A traced instruction is a line of 75 bytes; where four answers take more instructions than this, one is traced."""
_COMMON = ("-mthumb", "-std=c99", "-Os", "-ffreestanding", "-nostdlib", "-ffunction-sections", "-fdata-sections",
           "-fno-tree-loop-distribute-patterns", "-Wl,--gc-sections")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Core:
    """A processor: what it is compiled for, and the machine of qemu that runs it."""

    name: str
    flags: tuple[str, ...]
    machine: str
    has_fixed_times: bool = False


CORES = {
    core.name: core
    for core in (
        Core("cortex-m0plus", ("-mcpu=cortex-m0plus",), "microbit", has_fixed_times=True),
        Core("cortex-m3", ("-mcpu=cortex-m3",), "mps2-an385"),
        Core("cortex-m4", ("-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"), "mps2-an386"),
    )
}


def measure_arm(program: Program, core: Core, inputs: Array) -> Measurement:
    """Build a program for a core, and have it answer inputs [n, inputs] of the program's own type.

    Raises MachineError where a tool is missing or fails, and where the program does not fit 256 KB and 16 KB.
    """
    require("arm-none-eabi-gcc", "arm-none-eabi-objdump", "arm-none-eabi-size", "qemu-system-arm")
    given = np.ascontiguousarray(inputs.reshape(-1, program.inputs), TYPES[program.input_type])
    with tempfile.TemporaryDirectory(prefix="assay-arm-") as name:
        folder = Path(name)
        write_files(program, folder)
        flash, static = section_sizes("arm-none-eabi-size", _build(program, core, folder, "bare_main.c"))
        image = _build(program, core, folder, "arm_main.c")
        outputs, stack = _run(program, core, folder, given)
        if len(outputs) != len(given):
            raise MachineError("the emulated program stopped early", value=f"{len(outputs)} of {len(given)} answers")
        counts = _count(core, folder, image, given[:1])
        if len(given) > 1 and counts[0].instructions * _TRACED_INPUTS < _MOST_TRACED:
            counts += _count(core, folder, image, given[1:_TRACED_INPUTS])
    cycles = float(np.mean([count.cycles for count in counts])) if core.has_fixed_times else None
    instructions = float(np.mean([count.instructions for count in counts]))
    return Measurement(core.name, outputs, flash, static, stack, instructions, cycles)


def _build(program: Program, core: Core, folder: Path, main: str) -> Path:
    image = folder / Path(main).with_suffix(".elf").name
    run_tool(["arm-none-eabi-gcc", *core.flags, *_COMMON, *definitions(program), f"-I{folder}", "-T", HERE / "arm.ld",
              HERE / "arm_start.c", HERE / main, folder / f"{program.name}.c", "-lgcc", "-o", image],
             folder)  # fmt: skip
    return image


def _run(program: Program, core: Core, folder: Path, given: Array, *options: str) -> tuple[Array, int]:
    (folder / "inputs").write_bytes(given.tobytes())
    run_tool(["qemu-system-arm", "-M", core.machine, *_SEMIHOSTING, *options, "-kernel", "arm_main.elf"], folder, 300.0)
    outputs = as_outputs((folder / "outputs").read_bytes(), TYPES[program.output_type], program.outputs)
    return outputs, int.from_bytes((folder / "stack").read_bytes(), "little")


@dataclass(frozen=True, slots=True)
class Counts:
    """Of one answer."""

    instructions: int
    cycles: int


def _count(core: Core, folder: Path, image: Path, given: Array) -> list[Counts]:
    (folder / "inputs").write_bytes(given.tobytes())
    trace = folder / "trace"
    run_tool(["qemu-system-arm", "-M", core.machine, *_SEMIHOSTING, "-singlestep", "-d", "exec,nochain", "-D", trace,
              "-kernel", image], folder, 300.0)  # fmt: skip
    listing = run_tool(["arm-none-eabi-objdump", "-d", image], folder)
    return count_between_marks(traced_addresses(trace), read_listing(listing), marks=3)


def traced_addresses(trace: Path) -> Iterator[int]:
    """The address of each executed instruction, in order; lines are "Trace 0: HOST [BASE/ADDRESS/FLAGS/...] SYMBOL"."""
    with trace.open("rb") as lines:
        for line in lines:
            if line.startswith(b"Trace"):
                yield int(line.split(b"/", 2)[1], 16)


@dataclass(frozen=True, slots=True)
class Instruction:
    """One line of a listing."""

    size: int
    name: str
    operands: str


_LISTED = re.compile(r"^ *([0-9a-f]+):\t([0-9a-f]{4}(?: [0-9a-f]{4})?) *\t(\S+)(?:\t([^;@\n]*))?", re.MULTILINE)
_FUNCTION = re.compile(r"^([0-9a-f]+) <mark>:$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Listing:
    """A disassembled image: instructions by address, and where `mark` begins."""

    instructions: Mapping[int, Instruction]
    mark: int

    def at(self, address: int) -> Instruction:
        """Raises MachineError for an address without an instruction."""
        if address not in self.instructions:
            raise MachineError("the emulator ran what the disassembler does not list", value=hex(address))
        return self.instructions[address]


def read_listing(text: str) -> Listing:
    """What objdump -d prints. Raises MachineError where it has no mark."""
    found = {
        int(m[1], 16): Instruction(
            2 if " " not in m[2] else 4, m[3].removesuffix(".n").removesuffix(".w"), (m[4] or "").strip()
        )
        for m in _LISTED.finditer(text)
    }
    mark = _FUNCTION.search(text)
    if mark is None:
        raise MachineError("the disassembler's listing is of another form", value=text[:200])
    return Listing(found, int(mark[1], 16))


def count_between_marks(addresses: Iterator[int], listing: Listing, marks: int) -> list[Counts]:
    """Of each group of `marks` calls of mark: from the second to the third, less from the first to the second."""
    passed: list[list[int]] = []
    cycles = 0
    costs: dict[tuple[int, int], int] = {}
    before = next(addresses, None)
    for instructions, address in enumerate(addresses, 1):
        assert before is not None
        step = (before, address)
        if step not in costs:
            costs[step] = cycles_m0plus(listing.at(before), before, address)
        cycles += costs[step]
        if address == listing.mark:
            passed.append([instructions, cycles])
        before = address
    groups = [np.diff(np.array(passed[at : at + marks]), axis=0) for at in range(0, len(passed) - marks + 1, marks)]
    return [Counts(int(group[1, 0] - group[0, 0]), int(group[1, 1] - group[0, 1])) for group in groups]


_TAKEN = 2
_FIXED = {"bl": 3, "bx": 2, "blx": 2, "mrs": 3, "msr": 3, "dsb": 3, "isb": 3, "dmb": 3}


def cycles_m0plus(instruction: Instruction, address: int, following: int) -> int:
    """Cycles of a Cortex-M0+ (Arm DDI 0484C, table 3-1), whose multiplier takes one and whose memory does not wait.

    Loads and stores take 2, of several registers one more than there are registers, a pop that returns three more, a
    branch 2 where it is taken and 1 where it is not.
    """
    name = instruction.name
    if name in _FIXED:
        return _FIXED[name]
    if name in ("push", "pop", "stmia", "ldmia", "stm", "ldm"):
        registers = _registers(instruction.operands)
        return (3 if "pc" in instruction.operands and name == "pop" else 1) + registers
    if name.startswith(("ldr", "str")):
        return 2
    if name.startswith("b") and not name.startswith("bic"):
        return _TAKEN if following != address + instruction.size else 1
    return _TAKEN if re.match(r"(add|mov)\b", name) and instruction.operands.startswith("pc") else 1


def _registers(operands: str) -> int:
    """How many are between the braces."""
    count = 0
    for part in operands[operands.index("{") + 1 : operands.index("}")].split(","):
        first, _, last = part.strip().partition("-")
        count += int(last[1:]) - int(first[1:]) + 1 if last else 1
    return count
