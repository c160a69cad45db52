"""A worker's side in device code: kernels of a cubin that Assay's own launcher runs by the candidate's launch plan."""

from __future__ import annotations

import ctypes
import socket
from typing import Any

from assay.core.tensors import ALIGN_BYTES, Placement, TensorSpec
from assay.errors import CandidateError
from assay.launch.compiled import compiled, unpack
from assay.launch.plan import LaunchPlan
from assay.launch.resolved import resolve
from assay.native.library import symbols
from assay.referee.processes.blocks import Blocks, address_of, placements
from assay.referee.processes.device_abi import LaunchRecord, WorkRecord, launch_record
from assay.referee.processes.loading import LoadError
from assay.referee.processes.wire import PACKET_BYTES, OutputRecord, Place, Status, pack_reply

REACHES_HOST = "kernels can reach the launcher's own memory by its addresses"
_SCRATCH_ALIGN = 256
"""What device memory is aligned to when it is allocated by itself."""


class DeviceSide:
    """No code of the candidate runs in this process: its kernels run on the device, and reach what they are given."""

    def __init__(self, payload: dict[str, Any], blocks: Blocks) -> None:
        self._library = symbols()
        try:
            modules, self._compiled = unpack(bytes.fromhex(payload["artifact"]))
        except CandidateError as error:
            raise LoadError(Status.RAISED, str(error)) from None
        self._images = (ctypes.c_char_p * len(modules))(*modules)
        if self._library.assay_device_open(payload["driver"].encode(), self._images, len(modules)):
            raise LoadError(Status.RAISED, self._message())
        self.remark = REACHES_HOST if self._library.assay_device_reaches_host() else ""
        self._plan = LaunchPlan.parse(payload["plan"])
        self._capability = int(payload["capability"])
        self._blocks = blocks
        self._weights = Placement.pack(TensorSpec.from_json(spec) for spec in payload["weights"])
        self._packet = (ctypes.c_uint8 * PACKET_BYTES)()
        self._reply: Any = None
        self._kept: list[Any] = []  # what the launcher's records point at

    def lay_out(self, layout: dict[str, Any]) -> None:
        """Resolve the plan for the shapes of the calls to come; raises LoadError where it does not fit them."""
        inputs, outputs = placements(layout)
        try:
            resolved = resolve(self._plan, inputs.specs, self._weights.specs, outputs.specs, layout["scalars"],
                               self._capability)  # fmt: skip
            plan = compiled(resolved, self._compiled)
        except CandidateError as error:
            raise LoadError(Status.REFUSED, str(error)) from None
        scratch, total = [], 0
        for size in plan.scratch_bytes:
            scratch.append(total)
            total += -(-size // _SCRATCH_ALIGN) * _SCRATCH_ALIGN
        offsets = {"in": inputs.offsets, "weight": self._weights.offsets, "out": outputs.offsets, "scratch": scratch}
        records = [launch_record(launch, offsets) for launch in plan.launches]
        launches = (LaunchRecord * max(len(records), 1))(*records)
        addresses = [address_of(block) for block in self._blocks.outputs]
        work = WorkRecord(
            address_of(self._blocks.inputs), address_of(self._blocks.weights), (ctypes.c_void_p * 2)(*addresses),
            inputs.total_bytes, self._weights.total_bytes, outputs.total_bytes, max(total, ALIGN_BYTES), launches,
            len(records),
        )  # fmt: skip
        if self._library.assay_device_prepare(ctypes.byref(work)):
            raise LoadError(Status.REFUSED, self._message())
        places = [OutputRecord(Place.BUFFER, s.dtype.code, s.shape, s.strides, 0) for s in outputs.specs]
        packed = pack_reply(Status.OK, 0, tuple(places))
        self._reply = (ctypes.c_uint8 * len(packed)).from_buffer_copy(packed)
        self._kept = [records, launches, work]

    def receive(self, channel: socket.socket) -> bytes:
        """The next packet that is no call; calls are served on the way. Empty once the referee has gone."""
        if self._reply is None:
            return channel.recv(PACKET_BYTES)
        size = len(self._reply)
        length = self._library.assay_device_serve(channel.fileno(), self._reply, size, self._packet, PACKET_BYTES)
        if length >= 0:
            return bytes(self._packet[:length])
        sequence = int.from_bytes(bytes(self._packet[8:16]), "little")
        channel.send(pack_reply(Status.REFUSED, sequence, text=self._message()))
        return channel.recv(PACKET_BYTES)

    def _message(self) -> str:
        return str(self._library.assay_device_message().decode(errors="replace"))
