"""What a task needs at one choice of axes: the layouts of its arguments and outputs, as the oracle described them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from assay.core.tensors import Placement, TensorSpec
from assay.referee.protocol.memory import GUARD_BYTES


@dataclass(frozen=True, slots=True)
class Layout:
    """Arguments and outputs at one choice of axes. `scalars` are forward's arguments that are no tensors."""

    axes: Mapping[str, int]
    arguments: tuple[str, ...]
    inputs: Placement
    scalars: tuple[float, ...]
    outputs: tuple[TensorSpec, ...]
    draws_random: bool
    mutates: tuple[str, ...]
    flops: float | None
    why_no_float64: str
    necessary_read_bytes: int
    fan_in: int = 0
    """Numbers that one output element depends on; 0 where that is not known."""
    rolled: tuple[int, ...] = ()
    """Inputs whose elements may be shifted cyclically: floating, dense, of a domain that any order satisfies."""
    chain: int = 1
    """Calls in one timed window; inputs and outputs lie that many times one after the other."""
    guarded: Placement = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "guarded", Placement.pack(self.outputs, GUARD_BYTES))

    @classmethod
    def from_description(cls, axes: Mapping[str, int], data: Mapping[str, Any]) -> Layout:
        """From the oracle's answer; raises ValueError for tensors that no candidate can receive."""
        return cls(
            axes=dict(axes),
            arguments=tuple(data["arguments"]),
            inputs=Placement.pack(TensorSpec.from_json(spec) for spec in data["inputs"]),
            scalars=tuple(data["scalars"]),
            outputs=tuple(TensorSpec.from_json(spec) for spec in data["outputs"]),
            draws_random=bool(data["draws_random"]),
            mutates=tuple(data["mutates"]),
            flops=None if data["flops"] is None else float(data["flops"]),
            why_no_float64=str(data["float64"]),
            necessary_read_bytes=int(data["necessary_read_bytes"]),
            fan_in=int(data["fan_in"]),
            rolled=tuple(data["rolled"]),
        )

    @property
    def input_bytes(self) -> int:
        """Bytes of all input elements."""
        return sum(spec.data_bytes for spec in self.inputs.specs)

    @property
    def output_bytes(self) -> int:
        """Bytes of all output elements."""
        return sum(spec.data_bytes for spec in self.outputs)

    @property
    def wide_bytes(self) -> int:
        """Room for all outputs in 64-bit elements, with alignment."""
        return sum(spec.numel * 8 + 64 for spec in self.outputs)

    def packet(self) -> bytes:
        """The layout as a worker receives it."""
        return json.dumps({
            "inputs": [spec.to_json() for spec in self.inputs.specs],
            "outputs": [spec.to_json() for spec in self.outputs],
            "scalars": list(self.scalars),
            "arguments": list(self.arguments),
            "guard_bytes": GUARD_BYTES,
            "chain": self.chain,
            "rolled": list(self.rolled),
        }).encode()  # fmt: skip
