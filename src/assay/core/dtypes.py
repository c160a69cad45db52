"""Element types: one code each, used in the candidate's header, on the wire and in certificates."""

from __future__ import annotations

from enum import Enum


class DType(Enum):
    """An element type; the value is PyTorch's name without the prefix."""

    FLOAT32 = "float32"
    FLOAT64 = "float64"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    INT8 = "int8"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    UINT8 = "uint8"
    BOOL = "bool"

    @property
    def code(self) -> int:
        """The integer that stands for this type in `kernel.h` and on the wire."""
        return _CODES[self]

    @property
    def size_bytes(self) -> int:
        """Bytes of one element."""
        return _SIZES[self]

    @property
    def is_floating(self) -> bool:
        """Whether rounding errors, NaN and infinity exist in this type."""
        return self in _EPS

    @property
    def eps(self) -> float:
        """Distance from 1.0 to the next larger number; 0.0 for integer types."""
        return _EPS.get(self, 0.0)

    @classmethod
    def from_code(cls, code: int) -> DType:
        """The type of a code; raises ValueError for an unknown one."""
        for dtype, known in _CODES.items():
            if known == code:
                return dtype
        raise ValueError(f"unknown element type code {code}")


_CODES = {dtype: code for code, dtype in enumerate(DType, start=1)}
_SIZES = {
    DType.FLOAT32: 4,
    DType.FLOAT64: 8,
    DType.FLOAT16: 2,
    DType.BFLOAT16: 2,
    DType.INT8: 1,
    DType.INT16: 2,
    DType.INT32: 4,
    DType.INT64: 8,
    DType.UINT8: 1,
    DType.BOOL: 1,
}
# IEEE 754-2019 table 3.2 for float16/32/64; bfloat16 keeps 8 bits of significand.
_EPS = {DType.FLOAT32: 2.0**-23, DType.FLOAT64: 2.0**-52, DType.FLOAT16: 2.0**-10, DType.BFLOAT16: 2.0**-7}
