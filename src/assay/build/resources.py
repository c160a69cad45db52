"""What a device kernel takes of a multiprocessor, from its machine code and ptxas's own report, and what that leaves.

The compiler's front end and ptxas run apart, so that the report holds nothing that a source could have made nvcc print.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

_FUNCTION = re.compile(r"ptxas info\s*: Compiling entry function '([\w$.]+)' for '\w+'")
_SPILLS = re.compile(r"\s+\d+ bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")


@dataclass(frozen=True, slots=True)
class KernelResources:
    """One kernel. `shared_bytes` is its static shared memory; spills are bytes of code's stores and loads, not of time.

    `parameter_bytes` holds each parameter's size. Spills are None where the report did not name the kernel.
    """

    name: str
    registers: int
    shared_bytes: int
    stack_bytes: int
    instructions: int
    parameter_bytes: tuple[int, ...]
    spill_store_bytes: int | None = None
    spill_load_bytes: int | None = None
    module: int = 0
    """Of an artifact with several modules."""

    def to_json(self) -> dict[str, Any]:
        """A plain mapping for certificates and the cache."""
        return asdict(self) | {"parameter_bytes": list(self.parameter_bytes)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> KernelResources:
        """The inverse of `to_json`."""
        return cls(**(dict(data) | {"parameter_bytes": tuple(data["parameter_bytes"])}))


def spills(report: str) -> dict[str, tuple[int, int]]:
    """Bytes of spill stores and loads by kernel, from what `ptxas -v` wrote."""
    found: dict[str, tuple[int, int]] = {}
    name = None
    for line in report.splitlines():
        if match := _FUNCTION.fullmatch(line.rstrip()):
            name = match[1]
        elif name is not None and (match := _SPILLS.fullmatch(line.rstrip())):
            found[name] = int(match[1]), int(match[2])
            name = None
    return found


@dataclass(frozen=True, slots=True)
class Multiprocessor:
    """What one multiprocessor has, and in what portions it gives it: CUDA's occupancy calculator, by architecture."""

    warps: int
    blocks: int
    shared_bytes: int
    registers: int = 65536
    register_portion: int = 256
    """Registers are given to a warp in portions of this many."""
    warp_portion: int = 4
    shared_portion: int = 128
    shared_reserved: int = 1024
    """What the system keeps of each block, from compute capability 8.0 on."""


MULTIPROCESSORS: Mapping[int, Multiprocessor] = {
    80: Multiprocessor(64, 32, 164 << 10), 86: Multiprocessor(48, 16, 100 << 10), 89: Multiprocessor(48, 24, 100 << 10),
    90: Multiprocessor(64, 32, 228 << 10), 100: Multiprocessor(64, 32, 228 << 10),
    103: Multiprocessor(64, 32, 228 << 10), 120: Multiprocessor(48, 32, 100 << 10),
}  # fmt: skip
"""CUDA C++ programming guide, "Technical Specifications per Compute Capability"."""


@dataclass(frozen=True, slots=True)
class Occupancy:
    """How many warps one multiprocessor can hold of a launch, and what keeps it from holding more."""

    warps: int
    most_warps: int
    limited_by: str
    """ "warps", "blocks", "registers" or "shared memory"."""

    @property
    def share(self) -> float:
        """0 to 1."""
        return self.warps / self.most_warps


def occupancy(kernel: KernelResources, threads: int, dynamic_shared_bytes: int, capability: int) -> Occupancy | None:
    """Occupancy of a launch with blocks of `threads`; None for an architecture whose numbers are not known here.

    A block that fits no multiprocessor has 0 warps.
    """
    has = MULTIPROCESSORS.get(capability)
    if has is None:
        return None
    warps = -(-threads // 32)
    per_warp = _portions(kernel.registers * 32, has.register_portion)
    whole_warps = has.registers // max(per_warp, 1) // has.warp_portion * has.warp_portion
    shared = _portions(kernel.shared_bytes + dynamic_shared_bytes + has.shared_reserved, has.shared_portion)
    blocks = {
        "warps": has.warps // warps,
        "blocks": has.blocks,
        "registers": whole_warps // warps,
        "shared memory": has.shared_bytes // shared,
    }
    limit = min(blocks, key=lambda name: blocks[name])
    return Occupancy(blocks[limit] * warps, has.warps, limit)


def _portions(amount: int, portion: int) -> int:
    return -(-amount // portion) * portion
