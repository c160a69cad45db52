"""A party to a judgement: one worker process of the candidate's or the baseline's, called, stopped and read."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from assay.core.dtypes import DType
from assay.core.tensors import TensorSpec, same_strides
from assay.core.verdicts import Finding, Weight
from assay.errors import Fault
from assay.referee.processes.wire import PACKET_BYTES, OutputRecord, Place, Reply, Status, pack_call, unpack_reply
from assay.referee.protocol.clock import Call, Meter, Outcome
from assay.referee.protocol.layout import Layout
from assay.referee.protocol.memory import GUARD_BYTES, Block, Bytes, Poison, read_process
from assay.referee.protocol.oracle_client import Array, view
from assay.sandbox.memfd import reopened, sealed_memfd, write_all
from assay.sandbox.spawn import Child, Zygote, printable

_INPUTS_NAME, _WEIGHTS_NAME = "assay-sealed-inputs", "assay-sealed-weights"
_IDLE_CPU_LIMIT_NS = 50_000_000
"""The kernel reports a stop before the last thread has left its core, and charges what a hypervisor takes meanwhile:
0 to 2.5 ms were seen. The doors to running while stopped are shut by the system-call filter; this is a last look."""

_CACHE_LIMIT_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Program:
    """What a worker loads: the payload that becomes its JSON, and the language."""

    payload: Mapping[str, Any]
    load_timeout_s: float = 60.0
    may_create_processes: bool = False
    sealed_late: bool = False
    """It may create processes until `Party.seal`: torch.compile asks a compiler's version even when all is cached."""
    nodes: tuple[str, ...] = ()
    """Device files that its worker may use."""
    cache: bytes = b""
    """What torch.compile left behind when this program was warmed up; opaque, and only ever given to its own worker."""

    @property
    def compiles(self) -> bool:
        """Whether its worker may start compilers, for ever or until it is sealed."""
        return self.may_create_processes or self.sealed_late

    @property
    def native(self) -> bool:
        """Whether it writes into the referee's output blocks."""
        return self.payload["language"] in ("cpp", "cuda")

    @property
    def on_device(self) -> bool:
        """Whether it runs on a GPU."""
        return "device" in self.payload


@dataclass(frozen=True, slots=True)
class SharedInputs:
    """The sealed blocks that every party of a run reads."""

    inputs: Block
    weights: Block

    @classmethod
    def allocate(cls, input_bytes: int, weight_bytes: int) -> SharedInputs:
        """Blocks of these sizes, writable by this process only."""
        return cls(
            Block(input_bytes, read_only_elsewhere=True, name=_INPUTS_NAME),
            Block(weight_bytes, read_only_elsewhere=True, name=_WEIGHTS_NAME),
        )

    def close(self) -> None:
        """Free both."""
        self.inputs.close()
        self.weights.close()


class Party:
    """One confined worker. It is stopped except within `call` and `lay_out`; kill it when done.

    `problem` is the finding that ended it, None while it is fit.
    """

    def __init__(self, zygote: Zygote, program: Program, shared: SharedInputs, output_bytes: int, *,
                 memory_bytes: int, poison: Poison) -> None:  # fmt: skip
        self._program = program
        self._poison = poison
        self.problem: Finding | None = None
        self.remark = ""
        """What the worker says of itself when it has loaded."""
        room = output_bytes if program.native else 0
        self._outputs = [Block(room, read_only_elsewhere=False, name="assay-outputs") for _ in range(2)]
        raw = json.dumps(dict(program.payload)).encode()
        saves_cache = program.compiles
        self._cache_fd = os.memfd_create("assay-cache", os.MFD_CLOEXEC) if saves_cache else sealed_memfd("none", b"")
        if saves_cache:
            write_all(self._cache_fd, program.cache)
        blocks = [shared.inputs, shared.weights, *self._outputs]
        passed = [sealed_memfd("assay-payload", raw)]
        try:
            passed += [reopened(shared.inputs.fd, writable=False), reopened(shared.weights.fd, writable=False)]
            passed.append(reopened(self._cache_fd, writable=saves_cache))
            passed += [reopened(block.fd, writable=True) for block in self._outputs]
            sizes = [block.size_bytes for block in blocks[:3]]
            self.child: Child = zygote.spawn(
                "assay.referee.processes.worker:main",
                {"payload_bytes": len(raw), "block_bytes": sizes, "cache_bytes": len(program.cache)},
                passed,
                memory_bytes=memory_bytes,
                may_create_processes=program.compiles,
                devices=program.nodes,
            )
        finally:
            for fd in passed:
                os.close(fd)
        self._sequence = 0
        self._layout: Layout | None = None
        self._phases = [0, 0]
        self._last_ranges: list[tuple[int, int]] = []
        self._scratch: list[Bytes] = []
        self._finish_loading()

    def _finish_loading(self) -> None:
        channel = self.child.channel
        channel.settimeout(self._program.load_timeout_s)
        try:
            packet = channel.recv(PACKET_BYTES)
        except TimeoutError:
            self._fail("load-timeout", f"did not load within {self._program.load_timeout_s:.0f} s")
            return
        except ConnectionError:
            packet = b""
        if not packet:
            self._died("while it was loaded")
            return
        reply = unpack_reply(packet)
        if reply is None or reply.status != Status.OK:
            self._said_no(reply, "load")
            return
        self.remark = printable(reply.text.encode())
        channel.settimeout(None)
        if not self.child.stop():
            self._died("after it was loaded")
            return
        self.meter = Meter(self.child)

    def lay_out(self, layout: Layout, timeout_s: float = 30.0) -> bool:
        """Tell the worker the shapes of the calls to come; False where that ended it."""
        call = self.meter.call(layout.packet(), timeout_s)
        self._layout = layout
        self._last_ranges = []
        self._scratch = [np.empty(spec.span_bytes, dtype=np.uint8) for spec in layout.outputs * layout.chain]
        for buffer in range(len(self._outputs)):
            self._spread_poison(buffer)
        return self._fit_after(call)

    def call(self, run_seed: int, timeout_s: float) -> tuple[Call, tuple[Array, ...] | None]:
        """One call on the inputs that have landed; its outputs, or None where `problem` tells why not."""
        call = self.run(run_seed, timeout_s)
        return call, self.collect(call)

    def run(self, run_seed: int, timeout_s: float) -> Call:
        """One timed call, and nothing besides: what a side leaves in the caches must not depend on which side it is.

        `collect` it before the next.
        """
        self._sequence += 1
        return self.meter.call(pack_call(self._sequence, self._sequence % 2, run_seed), timeout_s)

    def collect(self, call: Call) -> tuple[Array, ...] | None:
        """Copies of the last `run`'s outputs, or None where `problem` tells why not; valid until the next `collect`.

        Every side's memory is read once, whether its outputs will be compared or not, and the block of the next call is
        poisoned here, long before that call: reading one side only left its memory in a shared cache and made the same
        kernel 8 % faster there (2 MB of outputs).
        """
        layout = self._layout
        if layout is None:
            raise RuntimeError("lay_out comes first")
        if not self._fit_after(call) or call.reply is None or not self._answers_this_call(call.reply, layout):
            return None
        buffer = self._sequence % 2
        block = self._outputs[buffer].bytes
        outputs = self._collect(call.reply, layout, block)
        if outputs is not None and self._program.native:
            self._check_guards(layout, block, self._phases[buffer])
        self._spread_poison(1 - buffer)
        return None if self.problem else outputs

    def _spread_poison(self, buffer: int) -> None:
        if self._program.native and self._layout is not None:
            used = self._layout.guarded.total_bytes * self._layout.chain
            self._phases[buffer] = self._poison.spread(self._outputs[buffer].bytes[:used])

    def seal(self, timeout_s: float = 10.0) -> bool:
        """From now on no new processes or threads, proved from outside; False where that ended it.

        The worker is asked to lower its own limit and need not be believed: the kernel shows the limit, which nobody
        without privilege can raise again, and whether the worker, which adopts all orphans of its process namespace,
        has a child. The limit counts what its uid is running, so that uid must be its own.
        """
        if "distinct-uid" not in self.child.layers:
            self._fail("not-sealed", "compiles itself, which needs a uid of its own on this machine: run as root")
            return False
        if not self._fit_after(self.meter.call(b'{"seal": true}', timeout_s)):
            return False
        with open(f"/proc/{self.child.pid}/limits") as limits:
            line = next(line for line in limits if line.startswith("Max processes"))
        if line.split()[2:4] != ["1", "1"]:
            self._fail("not-sealed", "did not give up the right to start processes")
        elif _children(self.child.pid):
            self._fail("not-sealed", "started a process that outlived its warm-up")
        return self.problem is None

    def save_cache(self, timeout_s: float = 60.0) -> bytes:
        """What torch.compile has cached in the worker's private folder, as opaque bytes; empty where that failed."""
        call = self.meter.call(b'{"save_cache": true}', timeout_s)
        if not self._fit_after(call):
            return b""
        return os.pread(self._cache_fd, min(os.fstat(self._cache_fd).st_size, _CACHE_LIMIT_BYTES), 0)

    def _fit_after(self, call: Call) -> bool:
        if call.outcome is Outcome.DIED:
            self._died("in a call")
        elif call.outcome is Outcome.SILENT:
            self._fail("call-timeout", "did not answer before the deadline of the call")
        elif call.outcome is Outcome.SPOKE_OUT_OF_TURN:
            self._fail("forged-reply", "sent bytes that no request asked for, or that are no reply")
        elif call.idle_cpu_ns > _IDLE_CPU_LIMIT_NS:
            self._fail("ran-while-stopped", f"was charged {call.idle_cpu_ns} ns of CPU time while it was stopped")
        elif call.reply is None or call.reply.status != Status.OK:
            self._said_no(call.reply, "call")
        return self.problem is None

    def _answers_this_call(self, reply: Reply, layout: Layout) -> bool:
        """Count, type, shape and strides, before any value."""
        if reply.sequence != self._sequence:
            self._fail("forged-reply", f"answered call {reply.sequence}, not call {self._sequence}")
            return False
        wanted = layout.outputs * layout.chain
        if len(reply.outputs) != len(wanted):
            self._fail("output-count", f"returned {len(reply.outputs)} tensors, not {len(wanted)}")
            return False
        for index, (record, spec) in enumerate(zip(reply.outputs, wanted, strict=True)):
            if problem := _mismatch(record, spec):
                self._fail("output-layout", f"output {index} has {problem}")
                return False
        return True

    def _collect(self, reply: Reply, layout: Layout, block: Bytes) -> tuple[Array, ...] | None:
        if self._program.native:
            step_bytes = layout.guarded.total_bytes
            starts = [i * step_bytes + offset for i in range(layout.chain) for offset in layout.guarded.offsets]
            for start, scratch in zip(starts, self._scratch, strict=True):
                scratch[:] = block[start : start + len(scratch)]
            return tuple(view(s, spec, 0) for s, spec in zip(self._scratch, layout.outputs * layout.chain, strict=True))
        specs = layout.outputs * layout.chain
        ranges = [(r.address, r.address + s.span_bytes) for r, s in zip(reply.outputs, specs, strict=True)]
        if any(a < d and c < b for a, b in ranges if a < b for c, d in self._last_ranges if c < d):
            self._fail("reuses-output-memory", "returned memory that an earlier call's result still occupies")
            return None
        self._last_ranges = ranges
        arrays = []
        for (start, stop), spec, scratch in zip(ranges, specs, self._scratch, strict=True):
            if stop > start and not self._own_memory(start, stop):
                self._fail("returns-shared-memory", "returned its inputs' or weights' memory instead of a result")
                return None
            if not read_process(self.child.pid, start, scratch):
                self._fail("unreadable-output", "named an address that it does not have")
                return None
            arrays.append(view(scratch, spec, 0))
        return tuple(arrays)

    def _own_memory(self, start: int, stop: int) -> bool:
        """Whether a range lies outside the shared blocks, by the kernel's list of the worker's mappings."""
        with open(f"/proc/{self.child.pid}/maps") as maps:
            for line in maps:
                if _INPUTS_NAME in line or _WEIGHTS_NAME in line:
                    low, high = (int(part, 16) for part in line.split(" ", 1)[0].split("-"))
                    if start < high and low < stop:
                        return False
        return True

    def _check_guards(self, layout: Layout, block: Bytes, phase: int) -> None:
        for step in range(layout.chain):
            for spec, offset in zip(layout.outputs, layout.guarded.offsets, strict=True):
                start = offset + step * layout.guarded.total_bytes
                end = start + spec.span_bytes
                for low, high in ((start - GUARD_BYTES, start), (end, end + GUARD_BYTES)):
                    if not self._poison.intact(block, low, high, phase):
                        self._fail("out-of-bounds", "wrote outside its output")
                        return

    def _said_no(self, reply: Reply | None, stage: str) -> None:
        if reply is None:
            self._fail("forged-reply", "sent bytes that are no reply")
            return
        codes = {Status.REFUSED: "refused", Status.BAD_OUTPUT: "output-layout", Status.BAD_WEIGHTS: "weights-mismatch"}
        known = Status(reply.status) if reply.status in Status._value2member_map_ else Status.RAISED
        self._fail(codes.get(known, f"{stage}-error"), printable(reply.text.encode()) or f"status {reply.status}")

    def _died(self, when: str) -> None:
        self.child.kill()
        status = self.child.exit_status or 0
        if os.WIFSIGNALED(status):
            signal_number = os.WTERMSIG(status)
            hint = "; its inputs and weights are read-only memory" if signal_number == 11 else ""
            how = f"was ended {when} by signal {signal_number}{hint}"
        else:
            how = f"exited {when} with status {os.waitstatus_to_exitcode(status)}"
        self._fail("crashed", how, log=printable(self.child.log)[-800:])

    def _fail(self, code: str, message: str, **data: Any) -> None:
        self.problem = Finding(code, Weight.FATAL, message, Fault.CANDIDATE, data)

    def close(self) -> None:
        """End the process and free its blocks."""
        if hasattr(self, "meter"):
            self.meter.close()
        self.child.kill()
        os.close(self._cache_fd)
        for block in self._outputs:
            block.close()


def _children(pid: int) -> list[str]:
    """The processes that descend from a worker; as the first of its process namespace it adopts all orphans."""
    found: list[str] = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/children") as children:
            found += children.read().split()
    return found


def _mismatch(record: OutputRecord, spec: TensorSpec) -> str:
    if record.dtype_code != spec.dtype.code:
        try:
            found = DType.from_code(record.dtype_code).value
        except ValueError:
            found = f"the unknown type code {record.dtype_code}"
        return f"dtype {found}, not {spec.dtype.value}"
    if record.shape != spec.shape:
        return f"shape {record.shape}, not {spec.shape}"
    if not same_strides(spec, record.strides):
        return f"strides {record.strides}, not {spec.strides}"
    if record.place not in (Place.BUFFER, Place.OWN_MEMORY):
        return f"the unknown place {record.place}"
    return ""
