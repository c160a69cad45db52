"""A GPU that is not there: a driver whose device is this processor, and a builder that makes modules for it."""

import re
import subprocess
from pathlib import Path

from assay.build.artifact import Artifact
from assay.errors import CandidateError
from assay.launch.plan import find_plan
from assay.machine.cuda import Gpu
from assay.referee.gpu import GpuRuntime, PeakSizes

HERE = Path(__file__).parent


class EmulatedBuilder:
    """Compiles a `.cu` file as C++ for the emulated driver."""

    def __init__(self, folder):
        self._folder = folder

    def build(self, candidate, capability):
        for file in candidate.files:
            (self._folder / file.path).write_text(file.text)
        (source,) = [file.path for file in candidate.files if file.path.endswith(".cu")]
        kernels = find_plan(candidate.files).kernels
        wrappers = "".join(
            f'extern "C" void emulated_{name}(const uint32_t* g, const uint32_t* b, uint32_t s, void** p) {{ '
            f"cuda_on_cpu::launch(&cuda_on_cpu::Wrapped<&{name}>::call, p, {{g[0], g[1], g[2]}}, {{b[0], b[1], b[2]}}, "
            "1, s, 0); }\n"
            for name in kernels
        )
        unit, target = self._folder / "unit.cpp", self._folder / "module.so"
        # Dynamic shared memory is declared without a size, which C++ does not know. Templates' variables cannot lie in
        # one section with others', so that they are not filled with random bytes before each block here.
        text = re.sub(r"extern\s+__shared__\s+(\w+)\s+(\w+)\[\];", r"\1* const \2 = (\1*)cuda_on_cpu::dynamic_shared;",
                      (self._folder / source).read_text())  # fmt: skip
        unit.write_text(
            f'#include "{HERE}/cuda_on_cpu.h"\n#undef __shared__\n#define __shared__ static\n{text}\n'
            f'#include "{HERE}/job.h"\n{wrappers}'
        )
        done = subprocess.run(
            ["g++", "-std=c++17", "-O1", "-w", "-fPIC", "-shared", str(unit), "-o", str(target)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise CandidateError("the candidate does not compile", value=done.stderr[-800:])
        return Artifact(target.read_bytes(), candidate.identity, "", None, (), "emulated")

    def close(self):
        pass


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
        lambda: EmulatedBuilder(folder),
        PeakSizes(1 << 20, 1 << 16, 4, False),
    )
