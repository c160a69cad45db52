"""Memory that a worker shares with the referee: its blocks, and where tensors and the steps of a chain lie in them."""

from __future__ import annotations

import ctypes
import mmap
import sys
from typing import Any

from assay.core.tensors import Placement, TensorSpec
from assay.referee.processes.wire import OutputRecord, Place
from assay.referee.protocol.chain import fold, memory_at, roll


class Blocks:
    """The shared memory blocks, mapped: inputs and weights read-only, the two output blocks writable."""

    def __init__(self, inputs_fd: int, weights_fd: int, output_fds: list[int], sizes: list[int]) -> None:
        read_only = mmap.PROT_READ
        self.inputs = mmap.mmap(inputs_fd, sizes[0], prot=read_only)
        self.weights = mmap.mmap(weights_fd, sizes[1], prot=read_only)
        self.outputs = [mmap.mmap(fd, sizes[2]) for fd in output_fds]


class Links:
    """The inputs of a chain: the first lies in the shared block, the rolled ones of later steps in memory of our own.

    A layout without a chain has one step.
    """

    def __init__(self, layout: dict[str, Any], base: int) -> None:
        self.inputs, self.outputs = placements(layout)
        self.count, self.has_scalars = int(layout["chain"]), bool(layout["scalars"])
        self._base, self._rolled = base, layout["rolled"] if self.count > 1 else []
        numpy = sys.modules["numpy"]
        self._own = {i: numpy.zeros(self.inputs.specs[i].span_bytes + 64, numpy.uint8) for i in self._rolled}
        records = [OutputRecord(Place.BUFFER, s.dtype.code, s.shape, s.strides, 0) for s in self.outputs.specs]
        self.records = tuple(records * self.count)

    def addresses(self, step: int) -> list[int]:
        """Where each input of a step lies."""
        landed = [self._base + step * self.inputs.total_bytes + offset for offset in self.inputs.offsets]
        return [self._ownaddress_of(i) if step and i in self._own else address for i, address in enumerate(landed)]

    def _ownaddress_of(self, index: int) -> int:
        return int(-(-self._own[index].ctypes.data // 64) * 64)

    def rolls(self, step: int) -> list[tuple[int, int, int, int]]:
        """For each input that a later step rolls: where it landed, where it goes, its bytes and an element's."""
        landed = self._base + step * self.inputs.total_bytes
        specs, offsets = self.inputs.specs, self.inputs.offsets
        moves = [(landed + offsets[i], self._ownaddress_of(i), specs[i].span_bytes, specs[i].dtype.size_bytes)
                 for i in self._rolled]  # fmt: skip
        return moves if step else []

    def advance(self, step: int, outputs: list[Any]) -> None:
        """Roll the step's inputs by what the outputs of the step before fold to."""
        number = fold(outputs)
        for source, target, size, element_bytes in self.rolls(step):
            roll(memory_at(source, size), memory_at(target, size), element_bytes, number)


def placements(layout: dict[str, Any]) -> tuple[Placement, Placement]:
    """Where inputs and outputs lie in their blocks."""
    inputs = Placement.pack(TensorSpec.from_json(spec) for spec in layout["inputs"])
    outputs = Placement.pack((TensorSpec.from_json(spec) for spec in layout["outputs"]), layout["guard_bytes"])
    return inputs, outputs


def tensors_at(torch: Any, placement: Placement, addresses: list[int]) -> list[Any]:
    """Tensors over memory that somebody else keeps alive."""
    tensors = []
    for spec, address in zip(placement.specs, addresses, strict=True):
        dtype = getattr(torch, spec.dtype.value)
        if spec.numel == 0:
            tensors.append(torch.empty(spec.shape, dtype=dtype))
            continue
        memory = (ctypes.c_uint8 * spec.span_bytes).from_address(address)
        flat = torch.frombuffer(memory, dtype=dtype)
        tensors.append(torch.as_strided(flat, spec.shape, spec.strides))
    return tensors


def address_of(block: mmap.mmap) -> int:
    """Where a mapped block begins."""
    numpy = sys.modules["numpy"]
    return int(numpy.frombuffer(block, dtype=numpy.uint8).ctypes.data)
