"""A worker's side in C++: a shared object with the C entry point."""

from __future__ import annotations

import ctypes
import mmap
import socket
from typing import Any

from assay.core.tensors import Placement, TensorSpec
from assay.native.library import symbols
from assay.referee.processes.blocks import Blocks, Links, address_of
from assay.referee.processes.loading import LoadError
from assay.referee.processes.native_abi import CallRecord, RollRecord, SideRecord, StepRecord, descriptors
from assay.referee.processes.wire import PACKET_BYTES, Status, pack_reply


class NativeSide:
    """A shared object with the C entry point; its calls are served natively, everything else here."""

    def __init__(self, payload: dict[str, Any], blocks: Blocks) -> None:
        path = "/scratch/candidate.so"
        with open(path, "wb") as file:
            file.write(bytes.fromhex(payload["artifact"]))
        try:
            library = ctypes.CDLL(path)
            entry = ctypes.cast(getattr(library, payload["entry"]), ctypes.c_void_p)
        except (OSError, AttributeError) as error:
            raise LoadError(Status.RAISED, f"cannot load the shared object: {error}") from error
        self._serve = symbols().assay_native_serve
        self._packet = (ctypes.c_uint8 * PACKET_BYTES)()
        self._side = SideRecord(entry)
        self._laid_out = False
        self._threads = int(payload["threads"])
        self._blocks = blocks
        weights = Placement.pack(TensorSpec.from_json(spec) for spec in payload["weights"])
        self._weights = descriptors(weights, address_of(blocks.weights))
        self._n_weights = len(weights.specs)
        self._kept: list[Any] = []  # what the descriptors point at

    def lay_out(self, layout: dict[str, Any]) -> None:
        """Prepare descriptors for the shapes of the calls to come."""
        links = Links(layout, address_of(self._blocks.inputs))
        sizes = [spec.span_bytes for spec in links.outputs.specs]
        spans = (ctypes.c_int64 * max(len(sizes), 1))(*sizes)
        scalars = (ctypes.c_double * max(len(layout["scalars"]), 1))(*map(float, layout["scalars"]))
        reply = ctypes.create_string_buffer(pack_reply(Status.OK, 0, links.records))
        self._kept = [links, spans, scalars, reply]
        for index, block in enumerate(self._blocks.outputs):
            steps = (StepRecord * links.count)(
                *(self._step(links, block, i, spans, scalars) for i in range(links.count))
            )
            self._side.steps[index] = ctypes.cast(steps, ctypes.POINTER(StepRecord))
            self._kept.append(steps)
        self._side.n_steps = links.count
        self._side.reply, self._side.reply_bytes = ctypes.cast(reply, ctypes.c_char_p), len(reply) - 1
        self._laid_out = True

    def _step(self, links: Links, block: mmap.mmap, step: int, spans: Any, scalars: Any) -> StepRecord:
        inputs = descriptors(links.inputs, 0, links.addresses(step))
        outputs = descriptors(links.outputs, address_of(block) + step * links.outputs.total_bytes)
        counts = (self._threads, len(links.inputs.specs), self._n_weights, len(links.outputs.specs))
        n_scalars = len(scalars) if links.has_scalars else 0
        call = CallRecord(1, *counts, n_scalars, inputs, self._weights, outputs, scalars)
        moves = links.rolls(step)
        rolls = (RollRecord * max(len(moves), 1))(*(RollRecord(*move) for move in moves))
        self._kept.append((inputs, outputs, rolls))
        return StepRecord(call, rolls, spans, len(moves))

    def receive(self, channel: socket.socket) -> bytes:
        """The next packet that is no call; calls are served on the way. Empty once the referee has gone."""
        while self._laid_out:
            side = self._side
            length = self._serve(channel.fileno(), ctypes.byref(side), self._packet, PACKET_BYTES)
            if length >= 0:
                return bytes(self._packet[:length])
            words = f"the entry returned {side.refused_code}"
            channel.send(pack_reply(Status.REFUSED, side.refused_sequence, text=words))
        return channel.recv(PACKET_BYTES)
