"""The bytes between referee and worker. Standard library only: the worker imports it.

Towards the worker: JSON for loading and layouts, one fixed packet for a call. From the worker: fixed layout only. The
referee unpacks numbers and checks them; it never evaluates, unpickles or trusts what it reads here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from assay.core.tensors import MAX_DIMS

PACKET_BYTES = 16 << 10
MAX_OUTPUTS = 64
MAX_TEXT_BYTES = 4096

_CALL = struct.Struct("=4sIQQ")
_CALL_MAGIC = b"CALL"
_REPLY = struct.Struct("=4siQIIQ")
_REPLY_MAGIC = b"RPLY"
_OUTPUT = struct.Struct(f"=IiiIQ{MAX_DIMS}q{MAX_DIMS}q")
_NUMBER = struct.Struct("=Q")
_SEQUENCE_AT, _DEVICE_NS_AT, _ADDRESS_AT = 8, 24, 16
"""Two places in a reply, and one in an output of it."""


class Status(IntEnum):
    """How a worker says that a request went; evidence, not a verdict."""

    OK = 0
    """Done."""
    RAISED = 1
    """The candidate raised, or could not be loaded; the text says how."""
    REFUSED = 2
    """The candidate's entry returned a number other than 0."""
    BAD_OUTPUT = 3
    """What came back is no plain dense tensor on the CPU."""
    BAD_WEIGHTS = 4
    """The candidate's parameters do not match the reference's."""


class Place(IntEnum):
    """Where an output lies."""

    BUFFER = 0
    """In the block that the referee gave."""
    OWN_MEMORY = 1
    """In the worker's memory at `address`."""


@dataclass(frozen=True, slots=True)
class OutputRecord:
    """One output as the worker describes it."""

    place: int
    dtype_code: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    address: int


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of a worker."""

    status: int
    sequence: int
    outputs: tuple[OutputRecord, ...]
    text: str
    device_ns: int = 0
    """What the device's own clock says of the call; 0 where nothing ran on a device."""


def pack_call(sequence: int, buffer: int, seed: int) -> bytes:
    """One call: its number, which of the two output blocks it fills, the generator's seed (0: leave it alone)."""
    return _CALL.pack(_CALL_MAGIC, buffer, sequence, seed)


def pack_reply(status: int, sequence: int, outputs: tuple[OutputRecord, ...] = (), text: str = "") -> bytes:
    """The inverse of `unpack_reply`; text is cut to `MAX_TEXT_BYTES`."""
    raw = text.encode(errors="replace")[:MAX_TEXT_BYTES]
    parts = [_REPLY.pack(_REPLY_MAGIC, status, sequence, len(outputs), len(raw), 0)]
    for output in outputs:
        padding = (0,) * (MAX_DIMS - len(output.shape))
        fields = (*output.shape, *padding, *output.strides, *padding)
        ndim = len(output.shape)
        parts.append(_OUTPUT.pack(output.place, output.dtype_code, ndim, 0, output.address, *fields))
    return b"".join((*parts, raw))


class Answer:
    """An OK that says the same each time but for its number and where the outputs lie.

    Packed once: a worker's code is cold in every call, where `pack_reply` took 40 us for one output, and this takes 5.
    """

    def __init__(self, outputs: tuple[OutputRecord, ...], packet: memoryview) -> None:
        """`packet` has room for it."""
        self._packet = packet
        self._template = pack_reply(Status.OK, 0, outputs)
        self._places = [_REPLY.size + i * _OUTPUT.size + _ADDRESS_AT for i in range(len(outputs))]

    def fill(self, sequence: int, addresses: list[int], device_ns: int = 0) -> int:
        """Write it; its bytes, from the packet's beginning."""
        self._packet[: len(self._template)] = self._template
        _NUMBER.pack_into(self._packet, _SEQUENCE_AT, sequence)
        _NUMBER.pack_into(self._packet, _DEVICE_NS_AT, device_ns)
        for place, address in zip(self._places, addresses, strict=True):
            _NUMBER.pack_into(self._packet, place, address)
        return len(self._template)


def unpack_reply(packet: bytes) -> Reply | None:
    """The reply in a packet, or None where its bytes do not have the fixed layout."""
    if len(packet) < _REPLY.size:
        return None
    magic, status, sequence, n_outputs, text_bytes, device_ns = _REPLY.unpack_from(packet)
    expected = _REPLY.size + n_outputs * _OUTPUT.size + text_bytes
    if magic != _REPLY_MAGIC or n_outputs > MAX_OUTPUTS or text_bytes > MAX_TEXT_BYTES or len(packet) != expected:
        return None
    outputs = []
    for index in range(n_outputs):
        place, code, ndim, _, address, *numbers = _OUTPUT.unpack_from(packet, _REPLY.size + index * _OUTPUT.size)
        if not 0 <= ndim <= MAX_DIMS or min(numbers) < 0:
            return None
        shape, strides = tuple(numbers[:ndim]), tuple(numbers[MAX_DIMS : MAX_DIMS + ndim])
        outputs.append(OutputRecord(place, code, shape, strides, address))
    text = packet[len(packet) - text_bytes :].decode(errors="replace") if text_bytes else ""
    return Reply(status, sequence, tuple(outputs), text, device_ns)
