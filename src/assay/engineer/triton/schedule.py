"""What may be tuned of a generated kernel without changing results beyond rounding.

The space is described as the CPU generator's is (codegen/schedule.py): a frozen record, and for each of its fields the
values that a search may choose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from assay.engineer.codegen.choices import read_schedule


@dataclass(frozen=True, slots=True)
class Schedule:
    """How loops over rows and elements are cut into tiles.

    `tile`: elements of a program's tile of a plain map or of a loop along a row. `held`: the longest row that one
    program holds in registers, so that it is read once. `lanes`: neighbours that a program reduces side by side where
    the contiguous axis is not the reduced one. `warps`: for a tile of `tile` elements; a held row has more in
    proportion. `stages`: loads in flight, where a compiler pipelines a loop. `keep`: store heavy values that several
    others use instead of computing them again. `apart`: fuse nothing. `m`, `n`, `k`: a matrix product's tile, and
    `product_warps` its warps; 0 is as usual for the type of its operands. `parts`: programs that a long reduction with
    few results is split into, 1 for never.
    """

    tile: int = 1024
    held: int = 8192
    lanes: int = 64
    warps: int = 4
    stages: int = 3
    keep: bool = False
    apart: bool = False
    m: int = 0
    n: int = 0
    k: int = 0
    product_warps: int = 0
    parts: int = 256

    def to_json(self) -> dict[str, Any]:
        """A plain mapping."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Schedule:
        """The inverse of `to_json`. Raises ValueError for values that are not on the list of choices."""
        return read_schedule(cls, data, CHOICES)


USUAL = Schedule()
"""The default, whose reasons stand at `CHOICES`."""

CHOICES: Mapping[str, tuple[Any, ...]] = {
    "tile": (512, 1024, 2048, 4096),
    "held": (1024, 4096, 8192, 16384),
    "lanes": (32, 64, 128),
    "warps": (2, 4, 8),
    "stages": (1, 2, 3, 4),
    "keep": (False, True),
    "apart": (False, True),
    "m": (0, 16, 32, 64, 128, 256),
    "n": (0, 32, 64, 128, 256),
    "k": (0, 16, 32, 64, 128),
    "product_warps": (0, 2, 4, 8),
    "parts": (256, 1, 64, 512),
}
"""1024 floats on 4 warps are 8 for each thread, two loads of 16 bytes, which is what keeps a memory-bound kernel's
bytes in flight on an H100 (3.35 TB/s times some 600 ns are 2 MB, 15 KB for each of 132 processors). A row of 8192 on 16
warps is 16 registers for each value that is alive; 64 lanes of 4 bytes are two lines of 128 bytes. 256 programs are
two for each of its processors."""


MAPS = ("tile", "warps")
ROWS = ("tile", "held", "lanes", "warps", "apart", "parts")
PRODUCTS = ("m", "n", "k", "product_warps", "stages")
"""Which choices change the file of which kind of kernel."""


def space(names: Sequence[str]) -> Mapping[str, tuple[Any, ...]]:
    """The choices of some names, for a tuner to walk."""
    return {name: CHOICES[name] for name in names}


def power_of_two(number: int, least: int, most: int) -> int:
    """The next one from `number` on, at least `least` and at most `most`, which are powers of two."""
    return max(least, min(most, 1 << max(number - 1, 0).bit_length()))
