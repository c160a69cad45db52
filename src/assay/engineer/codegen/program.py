"""What lowering gives: buffers, and the statements that fill them, in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from assay.core.dtypes import DType
from assay.engineer.codegen.index import Loop, Size
from assay.engineer.codegen.scalars import Scalar


class Unsupported(Exception):
    """No kernel can be generated; the message names the operator and the reason."""


class Place(Enum):
    """Where a buffer lives."""

    INPUT = "input"
    """A tensor argument of forward."""
    WEIGHT = "weight"
    """A tensor of the module's state."""
    NUMBER = "number"
    """A number among forward's arguments."""
    OUTPUT = "output"
    """A result, allocated by the caller."""
    TEMPORARY = "temporary"
    """Between statements; how it is kept is decided when kernels are fused."""


@dataclass(slots=True)
class Buffer:
    """A tensor's memory. `index` is its number among those of its place."""

    name: str
    shape: tuple[Size, ...]
    stride: tuple[Size, ...]
    dtype: DType
    place: Place
    index: int = 0


class Kind(Enum):
    """How a statement fills its buffer."""

    MAP = "map"
    """Each element by itself."""
    REDUCE = "reduce"
    """Each element from all positions of the reduced axes."""
    SCAN = "scan"
    """Each element from those before it along one axis, its own included."""
    SCATTER = "scatter"
    """Elements at places that are data, one after the other along the reduced axes."""


@dataclass(frozen=True, slots=True)
class Statement:
    """`buffer[target] = body` over all `axes`.

    A scatter adds ("sum") or sets ("set") `buffer[target]`, which something else has filled before. For a reduction,
    `reduced` are the axes that `operation` ("sum", "max", "min", "prod") goes over and `target` does not depend on
    them; for a scan it is the one axis that `operation` goes along.
    """

    kind: Kind
    buffer: str
    axes: tuple[Loop, ...]
    target: Size
    body: Scalar
    operation: str = ""
    reduced: tuple[Loop, ...] = ()


@dataclass(frozen=True, slots=True)
class Product:
    """`buffer = left @ right`, batched: sizes [batch, m, k] x [batch, k, n]; operands are buffers without gaps.

    `left_turned` and `right_turned` say that an operand lies as [batch, k, m] or [batch, n, k].
    """

    buffer: str
    left: str
    right: str
    batch: Size
    m: Size
    n: Size
    k: Size
    left_turned: bool
    right_turned: bool

    @property
    def buffers(self) -> frozenset[str]:
        """All that it reads or fills."""
        return frozenset((self.buffer, self.left, self.right))


@dataclass(frozen=True, slots=True)
class Filtered:
    """What the routines of convolutions have in common: operands, and how many channels a group has on either side."""

    buffer: str
    source: str
    weight: str
    bias: str | None
    batch: Size
    groups: int
    channels: Size
    outs: Size

    @property
    def buffers(self) -> frozenset[str]:
        """All that it reads or fills."""
        return frozenset(name for name in (self.buffer, self.source, self.weight, self.bias) if name)


@dataclass(frozen=True, slots=True)
class Convolution(Filtered):
    """`buffer = convolution(source, weight) + bias`, direct; see convolve.h.

    `source` is [batch, groups x channels, phases, planes, rows, width], all borders included: its planes are split into
    phases where the window moves by more than one. `taps` say how far each place of the window lies from the first,
    within one channel. `weight` is [groups x outs, channels, window].
    """

    taps: tuple[Size, ...]
    channel_step: Size
    rows: Size
    width: Size
    out_sizes: tuple[Size, Size, Size]


@dataclass(frozen=True, slots=True)
class Spread(Filtered):
    """`buffer = transposed_convolution(source, weight) + bias` with steps of one, from its inputs; see spread.h.

    `source` is [batch, groups x channels, sizes], `weight` is [groups x channels, outs, window]; sizes have three
    dimensions, the first ones of size one where there are fewer.
    """

    sizes: tuple[Size, ...]
    window: tuple[Size, ...]
    pad: tuple[int, ...]
    dilation: tuple[int, ...]
    out_sizes: tuple[Size, ...]


Routine: TypeAlias = Product | Convolution | Spread
"""What is called and not written out as loops."""


@dataclass(slots=True)
class Program:
    """All of a graph."""

    buffers: dict[str, Buffer] = field(default_factory=dict)
    steps: list[Statement | Routine] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    hints: Mapping[str, int] = field(default_factory=dict)
    """What the sizes are at the task's own axes."""
