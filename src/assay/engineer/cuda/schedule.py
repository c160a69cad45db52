"""What may be tuned of generated CUDA without changing results beyond rounding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from assay.engineer.codegen.choices import read_schedule


@dataclass(frozen=True, slots=True)
class DeviceSchedule:
    """One way to write a program's kernels.

    `unroll`: elements of a plain map that a thread computes, a block's width apart. `lanes`: threads that share a row
    whose reduced axis is contiguous; 0 by the row's length. `slices`: threads that share a reduction along an axis that
    is not contiguous; 0 by how many results there are. `keep`: store heavy values instead of computing them again.
    `apart`: fuse nothing. `fast`: divisions and functions as the hardware has them, a few units in the last place off.
    """

    unroll: int = 4
    lanes: int = 0
    slices: int = 0
    keep: bool = True
    apart: bool = False
    fast: bool = False

    @property
    def flags(self) -> tuple[str, ...]:
        """For the compiler; std::max and its like are constant expressions, which device code may then use."""
        return ("--expt-relaxed-constexpr", *(("--use_fast_math",) if self.fast else ()))

    def to_json(self) -> dict[str, Any]:
        """A plain mapping."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> DeviceSchedule:
        """The inverse of `to_json`. Raises ValueError for values that are not on the list of choices."""
        return read_schedule(cls, data, CHOICES)


CHOICES: Mapping[str, tuple[Any, ...]] = {
    "unroll": (1, 2, 4, 8),
    "lanes": (0, 32, 128, 256, 512, 1024),
    "slices": (0, 1, 4, 16),
    "keep": (True, False),
    "apart": (False, True),
    "fast": (False, True),
}
"""What a search may choose. A block has at most 1,024 threads, and a slice of it 32 results side by side."""
