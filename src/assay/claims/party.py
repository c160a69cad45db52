"""The judge's side of one model's process: load it, call it under the judge's clock, read the bytes of its outputs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from assay.claims.held_out import specs_of
from assay.core.dtypes import DType
from assay.core.tensors import Placement
from assay.errors import AssayError, Fault
from assay.referee.processes.wire import PACKET_BYTES, OutputRecord, Place, Reply, Status, pack_call, unpack_reply
from assay.referee.protocol.clock import Call, Meter, Outcome
from assay.referee.protocol.memory import Block, read_process
from assay.sandbox.memfd import reopened, sealed_memfd
from assay.sandbox.spawn import Child, Zygote, printable

LOAD_SECONDS = 300.0
_IDLE_CPU_LIMIT_NS = 50_000_000
"""As for kernels' workers: 0 to 2.5 ms of a stopped process were seen to be charged late."""
_MOST_OUTPUT_BYTES = 4 << 30


class ModelFailed(AssayError):
    """A model that does not load, answer or keep the protocol; `code` is the finding's."""

    fault = Fault.CANDIDATE

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Answer:
    """One call: its output, and what it cost by the judge's clocks, in nanoseconds."""

    output: Tensor
    wall_ns: int
    cpu_ns: int
    preempted_ns: int


class ModelProcess:
    """A fresh confined process with one model in it, stopped except within calls. Close it when done.

    Args:
        zygote: where it comes from; its children see the folder.
        payload: what the worker loads: folder, seed, threads, training.
        inputs: the sealed block that the judge writes inputs into.
        memory_bytes: its address space beyond the interpreter's own.
        timeout_s: for one call.

    Raises ModelFailed here and in `call`.
    """

    def __init__(
        self, zygote: Zygote, payload: Mapping[str, Any], inputs: Block, memory_bytes: int, timeout_s: float
    ) -> None:
        raw = json.dumps(dict(payload)).encode()
        self._inputs, self._timeout_s, self._sequence = inputs, timeout_s, 0
        self._meter: Meter | None = None
        passed = [sealed_memfd("assay-payload", raw)]
        try:
            passed.append(reopened(inputs.fd, writable=False))
            arguments = {"payload_bytes": len(raw), "input_bytes": inputs.size_bytes}
            self._child: Child = zygote.spawn("assay.claims.worker:main", arguments, passed, memory_bytes=memory_bytes)
        finally:
            for fd in passed:
                os.close(fd)
        try:
            self._load()
        except BaseException:
            self.close()
            raise

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers of confinement that hold."""
        return self._child.layers

    def _load(self) -> None:
        self._empty_bytes = _status_bytes(self._child.pid, "VmRSS")
        channel = self._child.channel
        channel.settimeout(LOAD_SECONDS)
        try:
            channel.send(b"load")
            packet = channel.recv(PACKET_BYTES)
        except TimeoutError:
            raise ModelFailed("load-timeout", f"it did not load within {LOAD_SECONDS:.0f} s") from None
        except OSError:
            packet = b""
        if not packet:
            raise self._died("while it was loaded")
        self._ok(unpack_reply(packet), "load-error")
        channel.settimeout(None)
        if not self._child.stop():
            raise self._died("after it was loaded")
        self._meter = Meter(self._child)

    def call(self, tensors: tuple[Tensor, ...]) -> Answer:
        """Write inputs, let it run until it answers, stop it, read the output."""
        self._lay_out(tensors)
        self._sequence += 1
        call = self._timed(pack_call(self._sequence, 0, 0))
        reply = self._fit(call, "call-error")
        if reply.sequence != self._sequence or len(reply.outputs) != 1:
            raise ModelFailed("forged-reply", "it answered a call that was not made")
        return Answer(self._read(reply.outputs[0]), call.wall_ns, call.cpu_ns, call.delayed_ns)

    def count_operations(self) -> int | str:
        """What the model's own process counts for the last inputs; words where it cannot."""
        call = self._timed(b'{"count": true}')
        if call.outcome is not Outcome.REPLIED or call.reply is None:
            return "its process did not answer"
        text = printable(call.reply.text.encode())
        known = call.reply.status == Status.OK and text.isascii() and text.isdigit() and len(text) < 19
        return int(text) if known else text or "its process gave no reason"

    def begin_peak(self) -> bool:
        """From now on `peak_bytes` counts anew; False where this system does not let it.

        What loading took and has freed is given back first: an allocator that keeps it would hide what answering needs.
        """
        self._fit(self._timed(b'{"trim": true}'), "call-error")
        try:
            with open(f"/proc/{self._child.pid}/clear_refs", "w") as file:
                file.write("5")
        except OSError:
            return False
        return True

    def peak_bytes(self) -> int:
        """The most memory that it took since `begin_peak`, beyond that of an empty process."""
        return max(_status_bytes(self._child.pid, "VmHWM") - self._empty_bytes, 0)

    def close(self) -> None:
        """End the process."""
        if self._meter is not None:
            self._meter.close()
        self._child.kill()

    def _timed(self, packet: bytes) -> Call:
        if self._meter is None:
            raise RuntimeError("the model is not loaded")
        return self._meter.call(packet, self._timeout_s)

    def _lay_out(self, tensors: tuple[Tensor, ...]) -> None:
        placement = Placement.pack(specs_of(tensors))
        for tensor, spec, offset in zip(tensors, placement.specs, placement.offsets, strict=True):
            if spec.span_bytes:
                raw = tensor.reshape(-1).view(torch.uint8).numpy()
                self._inputs.bytes[offset : offset + spec.span_bytes] = raw
        packet = json.dumps({"inputs": [spec.to_json() for spec in placement.specs]}).encode()
        self._fit(self._timed(packet), "call-error")

    def _fit(self, call: Call, code: str) -> Reply:
        """The reply of a call that went well."""
        if call.outcome is Outcome.DIED:
            raise self._died("in a call")
        if call.outcome is Outcome.SILENT:
            raise ModelFailed("call-timeout", f"it did not answer within {self._timeout_s:g} s")
        if call.outcome is not Outcome.REPLIED:
            raise ModelFailed("forged-reply", "it sent bytes that no request asked for, or that are no reply")
        if call.idle_cpu_ns > _IDLE_CPU_LIMIT_NS:
            raise ModelFailed("ran-while-stopped", f"it was charged {call.idle_cpu_ns} ns while it was stopped")
        return self._ok(call.reply, code)

    def _ok(self, reply: Reply | None, code: str) -> Reply:
        if reply is None:
            raise ModelFailed("forged-reply", "it sent bytes that are no reply")
        if reply.status != Status.OK:
            raise ModelFailed(code, printable(reply.text.encode()) or f"status {reply.status}")
        return reply

    def _read(self, record: OutputRecord) -> Tensor:
        """A copy of the output's bytes; the process is stopped and cannot change them meanwhile."""
        try:
            dtype = DType.from_code(record.dtype_code)
        except ValueError as error:
            raise ModelFailed("output-layout", str(error)) from error
        count = 1
        for size in record.shape:
            count *= size
        if record.place != Place.OWN_MEMORY or not dtype.is_floating or count * dtype.size_bytes > _MOST_OUTPUT_BYTES:
            raise ModelFailed("output-layout", f"its output is {dtype.value} of shape {record.shape}: no plain numbers")
        raw = np.empty(count * dtype.size_bytes, dtype=np.uint8)
        if not read_process(self._child.pid, record.address, raw):
            raise ModelFailed("unreadable-output", "it named an address that it does not have")
        kind = getattr(torch, dtype.value)
        return (
            torch.from_numpy(raw).view(kind).reshape(record.shape) if count else torch.empty(record.shape, dtype=kind)
        )

    def _died(self, when: str) -> ModelFailed:
        self._child.kill()
        status = self._child.exit_status or 0
        how = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"status {os.WEXITSTATUS(status)}"
        log = printable(self._child.log).strip()[-300:]
        hint = "; inputs are read-only memory" if os.WIFSIGNALED(status) and os.WTERMSIG(status) == 11 else ""
        return ModelFailed("crashed", f"it ended {when} by {how}{hint}" + (f": {log}" if log else ""))


def _status_bytes(pid: int, name: str) -> int:
    with open(f"/proc/{pid}/status") as file:
        line = next(line for line in file if line.startswith(f"{name}:"))
    return int(line.split()[1]) << 10
