"""A GPU's measured peaks: bandwidth of memory and of the second-level cache, operations by type.

Kernels of our own (machine/gpu_peaks.cu) run in a worker like any device code; a peak is the best of several calls.
Tensor cores are measured through the warp's matrix instructions, which Hopper's own (wgmma) exceed; so half-precision
types have no compute floor, and float32's is that of its multiply-adds, which products in three TF32 parts stay below
twice of: the floor's safety factor is for that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from assay.build.artifact import Artifact
from assay.core.dtypes import DType
from assay.core.identity import identity
from assay.core.sources import Candidate, Language, SourceFile
from assay.core.tensors import Placement, TensorSpec
from assay.errors import MachineError
from assay.machine import peaks as of_machine
from assay.machine.cache_dirs import atomic_write, ensure_folder, find_dirs
from assay.machine.peaks import Access, Bandwidth, Compute, Level, Peaks
from assay.referee.gpu import DeviceBuilder, GpuRuntime, PeakSizes
from assay.referee.protocol.layout import Layout
from assay.referee.protocol.memory import Poison
from assay.referee.protocol.party import Party, Program, SharedInputs
from assay.referee.zygotes import Zygotes

SOURCE = Path(of_machine.__file__).with_name("gpu_peaks.cu")
_CALLS = 7
_TIMEOUT_S = 30.0
_BLOCKS, _THREADS = 2112, 256
"""16 blocks for each of 132 multiprocessors; GPUs with fewer run them one after the other."""
_PRODUCTS = 4 * 16 * 16 * 16
"""Multiply-adds of a warp in a round of the tensor cores' kernels."""
_UNBOUNDED = "Hopper's own matrix instructions are not measured"


def find_gpu_peaks(zygotes: Zygotes, gpu: GpuRuntime, builder: DeviceBuilder, sizes: PeakSizes) -> Peaks:
    """The cached peaks of this GPU, measured and cached where there are none. Raises MachineError where that fails."""
    file = find_dirs().cache / "gpu-peaks" / f"{identity([gpu.identity, SOURCE.read_text()])}.json"
    try:
        return Peaks.from_json(json.loads(file.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError):
        peaks = measure_gpu_peaks(zygotes, gpu, builder, sizes)
        ensure_folder(file.parent)
        atomic_write(file, peaks.to_bytes())
        return peaks


def measure_gpu_peaks(zygotes: Zygotes, gpu: GpuRuntime, builder: DeviceBuilder, sizes: PeakSizes) -> Peaks:
    """Each kernel in a worker of its own, the best of a few calls. Raises MachineError with a worker's own words."""
    bandwidths, computes = [], []
    for kernel in _kernels(sizes):
        candidate = _candidate(kernel)
        artifact = builder.build(candidate, gpu.gpu.capability)
        best_ns = _best_ns(zygotes, gpu, artifact, kernel.plan)
        if isinstance(kernel.measures, tuple):
            level, access = kernel.measures
            bandwidths.append(Bandwidth(level, access, 1, kernel.set_bytes, kernel.amount / best_ns * 1e9))
        else:
            computes.append(Compute(kernel.measures, 1, kernel.amount / best_ns * 1e9))
    capacities = ((Level.L2, _capacity(gpu)), (Level.DRAM, None))
    unbounded = dict.fromkeys((DType.FLOAT16, DType.BFLOAT16, DType.INT8), _UNBOUNDED)
    return Peaks(gpu.identity, 1, capacities, tuple(bandwidths), tuple(computes), unbounded)


@dataclass(frozen=True, slots=True)
class _Kernel:
    """`amount` is in bytes or operations; `measures` is a type, or a level and an access."""

    name: str
    measures: DType | tuple[Level, Access]
    amount: float
    set_bytes: int
    plan: str


def _kernels(sizes: PeakSizes) -> Iterator[_Kernel]:
    count, cached = sizes.memory_bytes // 16, sizes.cache_bytes // 16
    memory, again = 16 * count, 16
    yield _kernel("read_all", (Level.DRAM, Access.READ), memory, memory, ["a", "out0", f"i64 {count}"])
    yield _kernel("write_all", (Level.DRAM, Access.WRITE), memory, memory, ["a", f"i64 {count}"])
    yield _kernel("copy_all", (Level.DRAM, Access.COPY), 2 * memory, 2 * memory, ["a", "b", f"i64 {count}"])
    arguments = ["a", "out0", f"i64 {cached}", f"i64 {again}"]
    yield _kernel("read_again", (Level.L2, Access.READ), 16 * cached * again, 16 * cached, arguments)
    # Stores reach the cache as fast as loads leave it, for all that is known: never faster.
    yield _kernel("read_again", (Level.L2, Access.WRITE), 16 * cached * again, 16 * cached, arguments)
    for name, dtype in (("add_float32", DType.FLOAT32), ("add_float64", DType.FLOAT64)):
        operations = 2.0 * 8 * sizes.rounds * _BLOCKS * _THREADS
        yield _kernel(name, dtype, operations, 16, ["out0", f"i64 {sizes.rounds}"])
    for name, dtype in (("tensor_float16", DType.FLOAT16), ("tensor_bfloat16", DType.BFLOAT16)):
        operations = 2.0 * _PRODUCTS * sizes.rounds * _BLOCKS * _THREADS / 32
        if sizes.tensor_cores:
            yield _kernel(name, dtype, operations, 16, ["out0", f"i64 {sizes.rounds}"])


def _kernel(
    name: str, measures: DType | tuple[Level, Access], amount: float, set_bytes: int, arguments: list[str]
) -> _Kernel:
    given = ", ".join(f'"{argument}"' for argument in arguments)
    plan = (
        f'[scratch]\na = {max(set_bytes, 16)}\nb = {max(set_bytes // 2, 16)}\n[[launch]]\nkernel = "{name}"\n'
        f"grid = [{_BLOCKS}]\nblock = [{_THREADS}]\narguments = [{given}]\n"
    )
    return _Kernel(name, measures, amount, set_bytes, plan)


def _candidate(kernel: _Kernel) -> Candidate:
    files = SourceFile("launch.toml", kernel.plan), SourceFile("peaks.cu", SOURCE.read_text())
    return Candidate("peaks", Language.CUDA, files, kernel.name)


def _best_ns(zygotes: Zygotes, gpu: GpuRuntime, artifact: Artifact, plan: str) -> float:
    output = TensorSpec("y", DType.FLOAT32, (1,), (1,))
    layout = Layout({}, (), Placement.pack(()), (), (output,), False, (), None, "", 0)
    payload = {"language": "cuda", "artifact": artifact.content.hex(), "plan": plan, "device": gpu.torch_device,
               "driver": gpu.driver, "capability": gpu.gpu.capability, "weights": []}  # fmt: skip
    zygotes.gpu = gpu
    program = Program(payload, nodes=gpu.nodes)
    with closing(SharedInputs.allocate(64, 64)) as shared:
        party = Party(zygotes.for_program(program), program, shared, layout.guarded.total_bytes, memory_bytes=4 << 30,
                      poison=Poison())  # fmt: skip
        with closing(party):
            times = []
            if party.problem is None:
                party.lay_out(layout)
            for _ in range(_CALLS):
                if party.problem is None:
                    call, _outputs = party.call(0, _TIMEOUT_S)
                    times.append(call.device_ns)
            if party.problem is not None or min(times) <= 0:
                words = party.problem.message if party.problem else "no time"
                raise MachineError("the GPU's peaks could not be measured", value=words)
    return float(min(times))


def _capacity(gpu: GpuRuntime) -> int:
    """Bytes of the second-level cache: more than any GPU of its kind has, which keeps floors low."""
    return {80: 40 << 20, 86: 6 << 20, 89: 96 << 20, 90: 60 << 20}.get(gpu.gpu.capability, 128 << 20)
