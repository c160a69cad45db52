"""A worker's side in Python: `ModelNew`, a function, or the reference itself as a baseline."""

from __future__ import annotations

import ctypes
import itertools
import socket
import sys
from typing import Any

from assay.core.dtypes import DType
from assay.core.tensors import Placement, TensorSpec
from assay.native.library import PythonCall, symbols
from assay.referee.processes.blocks import Blocks, Links, address_of, tensors_at
from assay.referee.processes.loading import bind_weights, flatten, load_python
from assay.referee.processes.wire import PACKET_BYTES, Answer, OutputRecord, Place, Status, pack_reply
from assay.referee.protocol.chain import memory_at


class PythonSide:
    """A Python module or function: `ModelNew`, or the reference itself."""

    def __init__(self, payload: dict[str, Any], blocks: Blocks) -> None:
        self._torch = torch = sys.modules["torch"]
        torch.set_num_threads(int(payload["threads"]))
        self._blocks = blocks
        specs = [TensorSpec.from_json(spec) for spec in payload["weights"]]
        placement = Placement.pack(specs)
        base = address_of(blocks.weights)
        weights = tensors_at(torch, placement, [base + offset for offset in placement.offsets])
        with torch.random.fork_rng(enabled=True):
            torch.manual_seed(int(payload["construction_seed"]))
            target = load_python(payload)
        bind_weights(target, dict(zip([s.name for s in specs], weights, strict=True)), set(payload["parameters"]))
        self._prepare(target, payload)
        self._null = payload["variant"] == "null"
        self._target = target if self._null else _variant(torch, target, payload["variant"])
        self._no_grad = torch.no_grad()
        self._no_grad.__enter__()
        self._previous: Any = None
        self._device_ns = 0
        self._arguments: list[list[Any]] = []
        self._packet, self._reply = (ctypes.c_uint8 * PACKET_BYTES)(), (ctypes.c_uint8 * PACKET_BYTES)()
        self._written = memoryview(self._reply).cast("B")
        self._callback = PythonCall(self._call)

    def _prepare(self, target: Any, payload: dict[str, Any]) -> None:
        """What another kind of side does with the module before it is compiled."""

    def receive(self, channel: socket.socket) -> bytes:
        """The next packet that is no call; calls are served on the way. Empty once the referee has gone."""
        size = len(self._packet)
        length = symbols().assay_native_serve_python(channel.fileno(), self._callback, self._reply, self._packet, size)
        return bytes(self._packet[:length])

    def lay_out(self, layout: dict[str, Any]) -> None:
        """Prepare argument tensors over the shared inputs for the shapes of the calls to come."""
        self._links = links = Links(layout, address_of(self._blocks.inputs))
        self._arguments = []
        for step in range(links.count):
            tensors = iter(tensors_at(self._torch, links.inputs, links.addresses(step)))
            scalars = iter(layout["scalars"])
            self._arguments.append([next(tensors) if kind == "tensor" else next(scalars)
                                    for kind in layout["arguments"]])  # fmt: skip
        self._previous = None
        specs = links.outputs.specs * links.count
        self._plain = [(getattr(self._torch, spec.dtype.value), spec.shape, spec.strides) for spec in specs]
        records = [OutputRecord(Place.OWN_MEMORY, s.dtype.code, s.shape, s.strides, 0) for s in specs]
        self._answer = Answer(tuple(records), self._written)
        if self._null:
            sets = [[self._fresh(spec) for spec in links.outputs.specs] for _ in range(2 * links.count + 1)]
            turn = itertools.cycle(sets)
            self._target = lambda *_: next(turn)

    def _fresh(self, spec: TensorSpec) -> Any:
        torch = self._torch
        return torch.empty_strided(spec.shape, spec.strides, dtype=getattr(torch, spec.dtype.value))

    def _call(self, sequence: int, seed: int) -> int:
        """One call; the bytes of the answer that is now in `_reply`."""
        try:
            outputs = self._run(seed)
            if self._as_laid_out(outputs):
                return self._answer.fill(sequence, [output.data_ptr() for output in outputs], self._device_ns)
            reply = self._described(sequence, outputs)
        except BaseException as error:  # noqa: BLE001 - whatever a candidate raises, SystemExit and KeyboardInterrupt too
            reply = pack_reply(Status.RAISED, sequence, (), describe(error))
        self._written[: len(reply)] = reply
        return len(reply)

    def _run(self, seed: int) -> list[Any]:
        """Call the module; its outputs stay alive until the call after the next, as a caller would hold them."""
        if seed:
            self._torch.manual_seed(seed)
        outputs: list[Any] = []
        for step, arguments in enumerate(self._arguments):
            if step:
                count = len(self._links.outputs.specs)
                pairs = zip(outputs[-count:], self._links.outputs.specs, strict=True)
                self._links.advance(step, [memory_at(t.data_ptr(), s.span_bytes) for t, s in pairs])
            outputs += flatten(self._torch, self._target(*arguments))
        previous, self._previous = self._previous, outputs
        del previous
        return outputs

    def _described(self, sequence: int, outputs: list[Any]) -> bytes:
        """The answer where outputs are not what the layout says: what they are, or why they are no outputs at all."""
        for output in outputs:
            problem = _not_plain(self._torch, output)
            if problem:
                return pack_reply(Status.BAD_OUTPUT, sequence, (), problem)
        return pack_reply(Status.OK, sequence, tuple(_record(output) for output in outputs))

    def _as_laid_out(self, outputs: list[Any]) -> bool:
        """Whether they are what the layout says, asked in as few words as possible: this code is cold in every call."""
        tensor, strided = self._torch.Tensor, self._torch.strided
        return len(outputs) == len(self._plain) and all(
            type(output) is tensor and output.dtype is dtype and output.shape == shape and output.is_cpu
            and output.layout is strided and output.stride() == strides and not output.is_neg()
            for output, (dtype, shape, strides) in zip(outputs, self._plain, strict=True)
        )  # fmt: skip


def _not_plain(torch: Any, output: Any) -> str:
    if type(output) is not torch.Tensor and type(output) is not torch.nn.Parameter:
        return f"an output is a {type(output).__name__}, not a torch.Tensor"
    if output.device.type != "cpu" or output.layout != torch.strided:
        return f"an output is on {output.device} with layout {output.layout}; dense tensors on the CPU count"
    if output.is_conj() or output.is_neg():
        return "an output is lazily conjugated or negated"
    if str(output.dtype).removeprefix("torch.") not in DType._value2member_map_:
        return f"an output has dtype {output.dtype}"
    return ""


def _record(output: Any) -> OutputRecord:
    dtype = DType(str(output.dtype).removeprefix("torch."))
    return OutputRecord(Place.OWN_MEMORY, dtype.code, tuple(output.shape), tuple(output.stride()), output.data_ptr())


def _variant(torch: Any, target: Any, variant: str) -> Any:
    """The reference as a baseline runs it: eager, channels_last, or compiled in one of torch.compile's modes."""
    if variant == "eager":
        return target
    if variant == "channels_last":
        model = target.to(memory_format=torch.channels_last)

        def run(*arguments: Any) -> Any:
            last = torch.channels_last
            moved = [a.contiguous(memory_format=last) if getattr(a, "ndim", 0) == 4 else a for a in arguments]
            return [t.contiguous() for t in flatten(torch, model(*moved))]

        return run
    from_name = {
        "compile": None, "compile:max-autotune": "max-autotune-no-cudagraphs", "compile:freezing": None,
        "compile:cudagraphs": "reduce-overhead", "compile:max-autotune-cudagraphs": "max-autotune",
    }  # fmt: skip
    if variant == "compile:freezing":
        torch._inductor.config.freezing = True
    return torch.compile(target, mode=from_name[variant], dynamic=False)


def describe(error: BaseException) -> str:
    """An exception in a line for the referee."""
    return f"{type(error).__name__}: {error}"[:2000]
