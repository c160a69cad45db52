"""The exported program, built with the host's compiler and run on data: does it compute what the model computes?

It is trusted code, built and run as Assay's own native code is and not in the sandbox: every character of it is written
here from numbers and one checked name. It runs in a process of its own all the same, with a time limit, so that a fault
in it is found and harms nothing. (The sandbox's builder makes shared objects of C++17 candidates for its worker; a C99
program with -ffreestanding is another thing.)
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from assay.errors import InternalError
from assay.export.c99.program import Program
from assay.export.network import Array
from assay.machine.gxx import compile_trusted

STRICT = ("-x", "c", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-ffreestanding")
"""What the program has to pass without a warning."""
_HARNESS = Path(__file__).parent / "host_main.c"
_SECONDS = 600.0
TYPES = {"float": np.float32, "uint8_t": np.uint8, "int8_t": np.int8, "int16_t": np.int16, "int32_t": np.int32}


@dataclass(frozen=True, slots=True)
class HostProgram:
    """A built program, there as long as `built` lasts."""

    program: Program
    path: Path

    def run(self, inputs: Array) -> Array:
        """Outputs [n, outputs] for inputs [n, inputs] in the program's own types. Raises InternalError if it fails."""
        given = np.ascontiguousarray(inputs.reshape(-1, self.program.inputs), TYPES[self.program.input_type])
        return self._outputs(["run"], given.tobytes(), len(given))

    def run_binary(self, first: int, count: int) -> Array:
        """Outputs for `count` binary inputs from number `first` on; input j of number i is bit j of i."""
        return self._outputs(["binary", str(first), str(count)], b"", count)

    def _outputs(self, arguments: list[str], given: bytes, count: int) -> Array:
        command = [str(self.path), *arguments]
        try:
            done = subprocess.run(command, input=given, capture_output=True, timeout=_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise InternalError("an exported program does not end", value=f"{count} inputs, {_SECONDS:g} s") from error
        found = np.frombuffer(done.stdout, TYPES[self.program.output_type])
        if done.returncode or found.size != count * self.program.outputs:
            raise InternalError("an exported program failed", value=f"exit status {done.returncode}, {found.size} "
                                f"outputs, {done.stderr.decode(errors='replace')[:500]}")  # fmt: skip
        return found.reshape(count, self.program.outputs)


@contextmanager
def built(program: Program, flags: tuple[str, ...] = ("-O2",)) -> Iterator[HostProgram]:
    """Build with every warning an error. Raises MachineError without a compiler or where that fails."""
    with tempfile.TemporaryDirectory(prefix="assay-export-") as name:
        folder = Path(name)
        write_files(program, folder)
        objects = [folder / "program.o", folder / "main.o"]
        what = "check an exported program"
        compile_trusted([folder / f"{program.name}.c"], (*STRICT, *flags, "-c"), objects[0], what)
        own = ("-x", "c", "-std=c99", "-O2", f"-I{folder}", *flags, *definitions(program))
        compile_trusted([_HARNESS], (*own, "-c"), objects[1], what)
        compile_trusted(objects, flags, folder / "program", what)
        yield HostProgram(program, folder / "program")


def definitions(program: Program) -> tuple[str, ...]:
    """What the harnesses need to know of a program, as compiler flags."""
    upper = program.name.upper()
    return (f'-DHEADER="{program.name}.h"', f"-DINPUTS={upper}_INPUTS", f"-DOUTPUTS={program.outputs}",
            f"-DINPUT={program.input_type}", f"-DOUTPUT={program.output_type}",
            f"-DCALL={program.name}_{'decide' if program.decides else 'run'}",
            *(("-DDECIDES",) if program.decides else ()),
            *((f"-DARENA={upper}_ARENA", f"-DARENA_TYPE={program.arena_type}") if program.arena_type else ()),
            )  # fmt: skip


def write_files(program: Program, folder: Path) -> list[Path]:
    """NAME.c and NAME.h in a folder."""
    files = [(folder / f"{program.name}.c", program.source), (folder / f"{program.name}.h", program.header)]
    for path, text in files:
        path.write_text(text)
    return [path for path, _ in files]
