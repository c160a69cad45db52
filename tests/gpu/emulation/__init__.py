"""A GPU that is not there: a driver whose device is this processor, and a builder that makes modules for it."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

from assay.build.artifact import Artifact
from assay.build.builder import ConfinedBuilder
from assay.build.flags import check_flags
from assay.build.in_sandbox import OUTPUT
from assay.core.sources import SourceFile
from assay.launch.plan import find_plan
from assay.machine.cuda import Gpu
from assay.referee.gpu import GpuRuntime, PeakSizes

HERE = Path(__file__).parent


class EmulatedBuilder:
    """Compiles a `.cu` file as C++ for the emulated driver, confined as every candidate's build is."""

    def __init__(self):
        self._confined = ConfinedBuilder([str(HERE)])

    def build(self, candidate, capability):
        check_flags(candidate)
        (source,) = [file for file in candidate.files if file.path.endswith(".cu")]
        unit = SourceFile("emulated_unit.cpp", _unit_of(source.text, find_plan(candidate.files).kernels))
        command = [*_COMPILE, f"-I{HERE}", f"-I{HERE}/headers", "./" + unit.path, "-o", OUTPUT]
        built = self._confined.run(replace(candidate, files=(*candidate.files, unit)), [command])
        return Artifact(built.content, candidate.identity, "", None, (), "emulated")

    def close(self):
        self._confined.close()


_COMPILE = ("g++", "-std=c++17", "-O1", "-w", "-fPIC", "-shared", "-I.")


def _unit_of(text, kernels):
    """What is compiled: the source between the emulation's headers, and a function that launches each kernel."""
    wrappers = "".join(
        f'extern "C" void emulated_{name}(const uint32_t* g, const uint32_t* b, uint32_t c, uint32_t s, void** p) {{ '
        f"cuda_on_cpu::launch(&cuda_on_cpu::Wrapped<&{name}>::call, p, {{g[0], g[1], g[2]}}, {{b[0], b[1], b[2]}}, "
        "c, s, 0); }\n"
        for name in kernels
    )
    # Dynamic shared memory is declared without a size, which C++ does not know. Templates' variables cannot lie in
    # one section with others', so that they are not filled with random bytes before each block here.
    known = re.sub(
        r"extern\s+__shared__\s+(\w+)\s+(\w+)\[\];", r"\1* const \2 = (\1*)cuda_on_cpu::dynamic_shared;", text
    )
    return (
        f'#include "cuda_on_cpu.h"\n#undef __shared__\n#define __shared__ static\n{known}\n#include "job.h"\n{wrappers}'
    )


def emulated_runtime(folder):
    """A runtime whose driver is built into `folder`, which workers see."""
    driver = folder / "libcuda_emulated.so"
    if not driver.exists():
        flags = ["-std=c++17", "-O1", "-fPIC", "-shared"]
        subprocess.run(["g++", *flags, str(HERE / "driver.cpp"), "-o", str(driver)], check=True)
    gpu = Gpu(0, "GPU-emulated", "emulated", 90, 1 << 30, "0", None, None)
    return GpuRuntime(
        gpu,
        str(driver),
        "cpu",
        (),
        (str(folder),),
        EmulatedBuilder,
        PeakSizes(1 << 20, 1 << 16, 4, False),
    )
