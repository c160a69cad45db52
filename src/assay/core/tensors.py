"""Tensor layouts without tensors: shape, strides, element type, and where each lies in one shared block of memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from assay.core.dtypes import DType

MAX_DIMS = 8
"""Dimensions that the candidate's descriptor holds; KernelBench's deepest tensors have 5."""

ALIGN_BYTES = 64
"""A cache line and an AVX-512 register."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor's name, element type, shape and strides (in elements).

    Raises ValueError for negative sizes, more than `MAX_DIMS` dimensions, or strides that do not match the shape.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.shape) > MAX_DIMS or len(self.shape) != len(self.strides):
            raise ValueError(f"tensor {self.name!r}: shape {self.shape} with strides {self.strides}")
        if any(size < 0 for size in self.shape) or any(stride < 0 for stride in self.strides):
            raise ValueError(f"tensor {self.name!r}: negative size or stride in {self.shape}, {self.strides}")

    @property
    def numel(self) -> int:
        """Number of elements."""
        count = 1
        for size in self.shape:
            count *= size
        return count

    @property
    def span_bytes(self) -> int:
        """Bytes from the first element to the end of the last one, holes of the strides included."""
        if self.numel == 0:
            return 0
        last = sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))
        return (last + 1) * self.dtype.size_bytes

    @property
    def data_bytes(self) -> int:
        """Bytes of the elements themselves."""
        return self.numel * self.dtype.size_bytes

    def to_json(self) -> dict[str, Any]:
        """A plain mapping for certificates and the wire."""
        return {
            "name": self.name,
            "dtype": self.dtype.value,
            "shape": list(self.shape),
            "strides": list(self.strides),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TensorSpec:
        """The inverse of `to_json`."""
        return cls(str(data["name"]), DType(data["dtype"]), tuple(data["shape"]), tuple(data["strides"]))


def same_strides(spec: TensorSpec, strides: Iterable[int]) -> bool:
    """Whether `strides` address the same elements; dimensions of size 0 or 1 have no meaningful stride."""
    if spec.numel == 0:
        return True
    pairs = zip(spec.shape, spec.strides, strides, strict=True)
    return all(size <= 1 or mine == other for size, mine, other in pairs)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where each of several tensors lies in one block of shared memory."""

    specs: tuple[TensorSpec, ...]
    offsets: tuple[int, ...]
    total_bytes: int

    @classmethod
    def pack(cls, specs: Iterable[TensorSpec], guard_bytes: int = 0) -> Placement:
        """Lay tensors out one after the other, aligned, with `guard_bytes` of no man's land around each."""
        offsets: list[int] = []
        cursor = guard_bytes
        specs = tuple(specs)
        for spec in specs:
            cursor = _round_up(cursor, ALIGN_BYTES)
            offsets.append(cursor)
            cursor += spec.span_bytes + guard_bytes
        return cls(specs, tuple(offsets), _round_up(max(cursor, 1), ALIGN_BYTES))


def _round_up(value: int, multiple: int) -> int:
    return (value + multiple - 1) // multiple * multiple
