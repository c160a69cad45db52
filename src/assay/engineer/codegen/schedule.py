"""What may be tuned without changing results beyond rounding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from assay.engineer.codegen.choices import read_schedule


@dataclass(frozen=True, slots=True)
class Schedule:
    """One way to write a program's loops.

    `lanes`: elements of a block where the contiguous axis is not reduced. `block`: elements of a task of a plain map.
    `keep`: store heavy values instead of computing them again. `apart`: fuse nothing. `wide`: 512-bit vectors.
    `stream`: write results past the caches. `group`: work piece by piece where that keeps temporaries in cache.
    `reciprocal`: multiply by the reciprocal of what a whole loop divides by, one rounding more for a tenth of the time.
    `loose`: an error function that is within 1.9 units in the last place instead of one, in half the time.
    `winograd`: outputs each way of a tile of a 3 x 3 convolution, 0 for direct sums; 4 rounds more than 2.
    `interleave`: rows that a scan goes along at once, since each of its steps waits for the one before.
    """

    lanes: int = 64
    block: int = 8192
    keep: bool = True
    apart: bool = False
    wide: bool = True
    stream: bool = False
    group: bool = True
    reciprocal: bool = True
    loose: bool = True
    winograd: int = 2
    interleave: int = 1

    @property
    def flags(self) -> tuple[str, ...]:
        """For the compiler. Without trapping, comparisons become vectors; contraction is GNU C++'s default."""
        width = ("-mprefer-vector-width=512",) if self.wide else ()
        return ("-ffp-contract=fast", "-fno-trapping-math", *width)

    def to_json(self) -> dict[str, Any]:
        """A plain mapping."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Schedule:
        """The inverse of `to_json`; what an older version did not write is as usual.

        Raises ValueError for values that are not on the list of choices.
        """
        return read_schedule(cls, data, CHOICES)


CHOICES: Mapping[str, tuple[Any, ...]] = {
    "lanes": (16, 32, 64, 128, 256, 1024),
    "block": (1024, 4096, 8192, 32768),
    "keep": (True, False),
    "apart": (False, True),
    "wide": (True, False),
    "stream": (False, True),
    "group": (True, False),
    "reciprocal": (True, False),
    "loose": (True, False),
    "winograd": (2, 4, 0),
    "interleave": (1, 4, 8),
}
"""What a search may choose: 16 lanes are one vector, 1024 floats a quarter of a first-level cache of 16 KB."""
