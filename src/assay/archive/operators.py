"""What a task computes, as the operators that it calls: how the archive finds kernels for tasks that it never saw.

The similarity is a weighted Jaccard index (Ruzicka's: the sum of the smaller weights over the sum of the larger ones)
of what two signatures are made of: each operator as often as it occurs, each pair of neighbours at half the weight,
element types and ranks at a quarter. Covered: order, repetition, types and ranks. Not covered: sizes, strides, the
operators' scalar arguments, and which operator feeds which. So 1.0 means "made of the same", never "computes the same";
only a judgement on the task at hand says that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from assay.core.dtypes import DType
from assay.core.identity import identity
from assay.core.tensors import MAX_DIMS

MAX_OPERATORS, MAX_NAME, MAX_TENSORS = 10_000, 200, 1_000
"""A whole ResNet-152 traces to about 500 operators: what is longer is no task but an attack on the search."""

_OPERATOR, _NEIGHBOURS, _TENSOR = 1.0, 0.5, 0.25


@dataclass(frozen=True, slots=True)
class OperatorSignature:
    """A task's operators in the order in which they are called, normalised.

    `dtypes` and `ranks` are those of its tensor arguments, in order; both may be empty where they are not known.
    Raises ValueError for no operators, names that are no operator's, unknown element types and impossible ranks.
    """

    operators: tuple[str, ...]
    dtypes: tuple[str, ...] = ()
    ranks: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "operators", tuple(normalise(name) for name in self.operators))
        if not 0 < len(self.operators) <= MAX_OPERATORS:
            raise ValueError(f"{len(self.operators)} operators; a signature has 1 to {MAX_OPERATORS}")
        if max(len(self.dtypes), len(self.ranks)) > MAX_TENSORS:
            raise ValueError(f"more than {MAX_TENSORS} tensors")
        known = {dtype.value for dtype in DType}
        unknown = sorted({str(dtype)[:40] for dtype in self.dtypes} - known)
        if unknown:
            raise ValueError(f"unknown element type {unknown[0]!r}; known: {', '.join(sorted(known))}")
        for rank in self.ranks:
            if not isinstance(rank, int) or isinstance(rank, bool) or not 0 <= rank <= MAX_DIMS:
                raise ValueError(f"rank {rank!r}; a tensor has 0 to {MAX_DIMS} dimensions")

    @property
    def identity(self) -> str:
        """sha256 over all of it: equal for the same operators in the same order on the same types and ranks."""
        return identity(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """A plain mapping for rows and shared files."""
        return {"operators": list(self.operators), "dtypes": list(self.dtypes), "ranks": list(self.ranks)}

    @classmethod
    def from_json(cls, data: Any) -> OperatorSignature:
        """The inverse of `to_json`, for data from anybody; raises ValueError for anything else."""
        if not isinstance(data, Mapping) or set(data) != {"operators", "dtypes", "ranks"}:
            raise ValueError("a signature has operators, dtypes and ranks, and nothing else")
        parts = [data[name] for name in ("operators", "dtypes", "ranks")]
        if not all(isinstance(part, list) for part in parts):
            raise ValueError("a signature's operators, dtypes and ranks are arrays")
        operators, dtypes, ranks = (tuple(part) for part in parts)
        if not all(isinstance(name, str) for name in (*operators, *dtypes)):
            raise ValueError("a signature's operators and dtypes are text")
        return cls(operators, dtypes, ranks)


def normalise(name: str) -> str:
    """`torch.ops.aten.relu_.default` and `aten::relu` are one operator, `aten.relu`: in place or not, it computes that.

    Raises ValueError for what is no operator's name.
    """
    plain = name.strip().removeprefix("torch.ops.").replace("::", ".").removesuffix(".default")
    parts = plain.split(".")
    if len(parts) > 1 and parts[1].endswith("_") and not parts[1].endswith("__"):
        parts[1] = parts[1].removesuffix("_")
    usable = all(part.replace("_", "a").isalnum() and part.isascii() for part in parts)
    if len(plain) > MAX_NAME or not usable or len(parts) < 2:
        raise ValueError(f"{name[:60]!r} is no operator; one looks like aten.softmax.int")
    return ".".join(parts)


def similarity(one: OperatorSignature, other: OperatorSignature) -> float:
    """How much two signatures are made of the same: 0.0 for nothing, 1.0 for everything; symmetric."""
    mine, others = _features(one), _features(other)
    keys = mine.keys() | others.keys()
    shared = sum(min(mine.get(key, 0.0), others.get(key, 0.0)) for key in keys)
    return shared / sum(max(mine.get(key, 0.0), others.get(key, 0.0)) for key in keys)


def shares_an_operator(one: OperatorSignature, other: OperatorSignature) -> bool:
    """Without that, likeness is one of types and ranks alone, and says nothing about a kernel."""
    return not set(one.operators).isdisjoint(other.operators)


def _features(signature: OperatorSignature) -> dict[tuple[str, ...], float]:
    """What a signature is made of, with its weight."""
    ordered = signature.operators
    pairs = Counter(pairwise(ordered))
    tensors = Counter([("dtype", dtype) for dtype in signature.dtypes] + [("rank", str(r)) for r in signature.ranks])
    weighed: dict[tuple[str, ...], float]
    weighed = {("operator", name): _OPERATOR * count for name, count in Counter(ordered).items()}
    weighed |= {("neighbours", *pair): _NEIGHBOURS * count for pair, count in pairs.items()}
    return weighed | {key: _TENSOR * count for key, count in tensors.items()}
