"""Several compiled modules in one artifact, and which of their kernels each launch of a plan runs.

A CUDA candidate is one module whose kernels bear the plan's names, and needs none of this: its artifact is the module.
Triton compiles a kernel anew for each choice of constants and warps, and decides threads and shared memory itself.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from assay.errors import CandidateError
from assay.launch.plan import MOST_LAUNCHES
from assay.launch.resolved import BLOCK_THREADS, Parameter, ResolvedLaunch, ResolvedPlan

_MAGIC = b"ASSAYDEV"
_HEADER = struct.Struct("<8sI")
_MOST_HEADER_BYTES = 1 << 20
_MOST_SHARED_BYTES = 1 << 20
_MOST_PARAMETERS = 256


@dataclass(frozen=True, slots=True)
class CompiledLaunch:
    """What one launch of a plan runs: a kernel of a module, with as many threads, and as much shared memory.

    `parameters` is how many the kernel has; those beyond the plan's are Triton's own scratch areas, which are null.
    Raises ValueError for numbers that no compiler gives.
    """

    module: int
    symbol: str
    threads: int
    shared_bytes: int
    parameters: int

    def __post_init__(self) -> None:
        right = (
            0 <= self.module < MOST_LAUNCHES
            and 0 < len(self.symbol) < 256
            and 0 < self.threads <= BLOCK_THREADS
            and 0 <= self.shared_bytes <= _MOST_SHARED_BYTES
            and 0 <= self.parameters <= _MOST_PARAMETERS
        )
        if not right:
            raise ValueError(f"no compiler gives {self}")


def pack(modules: Sequence[bytes], launches: Mapping[int, CompiledLaunch]) -> bytes:
    """One artifact; `launches` are by their number in the plan."""
    header = {
        "sizes": [len(module) for module in modules],
        "launches": {str(index): asdict(launch) for index, launch in launches.items()},
    }
    text = json.dumps(header).encode()
    return b"".join((_HEADER.pack(_MAGIC, len(text)), text, *modules))


def unpack(content: bytes) -> tuple[list[bytes], dict[int, CompiledLaunch]]:
    """The modules and launches of an artifact; one that is a module itself has no launches.

    Raises CandidateError for bytes that are neither: they come from a process that ran the candidate's code.
    """
    if not content.startswith(_MAGIC):
        return [content], {}
    try:
        _, length = _HEADER.unpack_from(content)
        if length > _MOST_HEADER_BYTES:
            raise ValueError("its header is too long")
        header = json.loads(content[_HEADER.size : _HEADER.size + length])
        modules, at = [], _HEADER.size + length
        for size in header["sizes"]:
            if not isinstance(size, int) or size <= 0 or at + size > len(content):
                raise ValueError("its modules end after it")
            modules.append(content[at : at + size])
            at += size
        launches = {int(index): _launch(data) for index, data in header["launches"].items()}
        if any(launch.module >= len(modules) for launch in launches.values()):
            raise ValueError("a launch names a module that it does not have")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, struct.error) as error:
        raise CandidateError("the compiled candidate cannot be read", value=f"{error}"[:200]) from None
    return modules, launches


def compiled(plan: ResolvedPlan, launches: Mapping[int, CompiledLaunch]) -> ResolvedPlan:
    """The plan with what its launches really run. Raises CandidateError for one that was not compiled."""
    return replace(plan, launches=tuple(_compiled(one, launches) for one in plan.launches)) if launches else plan


def _compiled(launch: ResolvedLaunch, launches: Mapping[int, CompiledLaunch]) -> ResolvedLaunch:
    runs = launches.get(launch.index)
    missing = runs.parameters - len(launch.parameters) if runs is not None else -1
    if runs is None or missing < 0:
        raise CandidateError("a launch of the plan was not compiled as it is written", value=launch.kernel)
    return replace(
        launch, module=runs.module, kernel=runs.symbol, block=(runs.threads, 1, 1), shared_bytes=runs.shared_bytes,
        parameters=(*launch.parameters, *[Parameter(bytes(8))] * missing),
    )  # fmt: skip


def _launch(data: Mapping[str, object]) -> CompiledLaunch:
    numbers = [data[name] for name in ("module", "threads", "shared_bytes", "parameters")]
    if not isinstance(data["symbol"], str) or not all(type(number) is int for number in numbers):
        raise ValueError("a launch has parts of other types")
    module, threads, shared, parameters = (int(str(number)) for number in numbers)
    return CompiledLaunch(module, data["symbol"], threads, shared, parameters)
