"""The only module that runs candidate code, inside a confined process that holds no reference, verdict or secret.

It runs the reference as well, for the baseline, in the identical shell, so that both sides pay the same overhead.
Whatever it says is evidence: a hostile candidate can rewrite this module in memory. It is therefore written for
clarity and equal cost, not for defence; the defence is that the referee trusts nothing here.
"""

from __future__ import annotations

import ctypes
import gc
import itertools
import json
import mmap
import resource
import socket
import sys
import warnings
from typing import Any

from assay.core.dtypes import DType
from assay.core.tensors import Placement, TensorSpec
from assay.native.library import PythonCall, symbols
from assay.referee.processes.compile_cache import pack_cache, unpack_cache
from assay.referee.processes.loading import LoadError, bind_weights, flatten, load_python
from assay.referee.processes.native_abi import CallRecord, RollRecord, SideRecord, StepRecord, descriptors
from assay.referee.processes.wire import PACKET_BYTES, Answer, OutputRecord, Place, Status, pack_reply
from assay.referee.protocol.chain import fold, memory_at, roll


def main(channel: socket.socket, fds: list[int], args: dict[str, Any]) -> None:
    """Serve layouts and calls until the referee closes the channel."""
    payload_fd, inputs_fd, weights_fd, cache_fd, *output_fds = fds
    if args["cache_bytes"]:
        unpack_cache(cache_fd, args["cache_bytes"])
    payload = json.loads(_read_all(payload_fd, args["payload_bytes"]))
    blocks = _Blocks(inputs_fd, weights_fd, output_fds, args["block_bytes"])
    warnings.simplefilter("ignore")
    side: _Native | _Python
    try:
        side = (_Native if payload["language"] == "cpp" else _Python)(payload, blocks)
    except LoadError as error:
        channel.send(pack_reply(error.status, 0, text=str(error)))
        return
    except BaseException as error:  # noqa: BLE001 - a candidate's constructor may raise anything, SystemExit too
        channel.send(pack_reply(Status.RAISED, 0, text=_describe(error)))
        return
    gc.collect()
    gc.disable()  # on both sides: a collection inside a timed call is noise
    channel.send(pack_reply(Status.OK, 0))
    _serve(channel, side, cache_fd)


def rest(channel: socket.socket, fds: list[int], args: dict[str, Any]) -> None:
    """Do nothing until the referee closes the channel: a confined process to look at."""
    channel.recv(1)


def _serve(channel: socket.socket, side: _Native | _Python, cache_fd: int) -> None:
    while packet := side.receive(channel):
        request = json.loads(packet)
        if "save_cache" in request:
            pack_cache(cache_fd)
        elif "seal" in request:
            resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
        else:
            side.lay_out(request)
        channel.send(pack_reply(Status.OK, 0))


class _Blocks:
    """The shared memory blocks, mapped: inputs and weights read-only, the two output blocks writable."""

    def __init__(self, inputs_fd: int, weights_fd: int, output_fds: list[int], sizes: list[int]) -> None:
        read_only = mmap.PROT_READ
        self.inputs = mmap.mmap(inputs_fd, sizes[0], prot=read_only)
        self.weights = mmap.mmap(weights_fd, sizes[1], prot=read_only)
        self.outputs = [mmap.mmap(fd, sizes[2]) for fd in output_fds]


class _Native:
    """A shared object with the C entry point; its calls are served natively, everything else here."""

    def __init__(self, payload: dict[str, Any], blocks: _Blocks) -> None:
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
        self._weights = descriptors(weights, _address(blocks.weights))
        self._n_weights = len(weights.specs)
        self._kept: list[Any] = []  # what the descriptors point at

    def lay_out(self, layout: dict[str, Any]) -> None:
        """Prepare descriptors for the shapes of the calls to come."""
        links = _Links(layout, _address(self._blocks.inputs))
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

    def _step(self, links: _Links, block: mmap.mmap, step: int, spans: Any, scalars: Any) -> StepRecord:
        inputs = descriptors(links.inputs, 0, links.addresses(step))
        outputs = descriptors(links.outputs, _address(block) + step * links.outputs.total_bytes)
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


class _Links:
    """The inputs of a chain: the first lies in the shared block, the rolled ones of later steps in memory of our own.

    A layout without a chain has one step.
    """

    def __init__(self, layout: dict[str, Any], base: int) -> None:
        self.inputs, self.outputs = _placements(layout)
        self.count, self.has_scalars = int(layout["chain"]), bool(layout["scalars"])
        self._base, self._rolled = base, layout["rolled"] if self.count > 1 else []
        numpy = sys.modules["numpy"]
        self._own = {i: numpy.zeros(self.inputs.specs[i].span_bytes + 64, numpy.uint8) for i in self._rolled}
        records = [OutputRecord(Place.BUFFER, s.dtype.code, s.shape, s.strides, 0) for s in self.outputs.specs]
        self.records = tuple(records * self.count)

    def addresses(self, step: int) -> list[int]:
        """Where each input of a step lies."""
        landed = [self._base + step * self.inputs.total_bytes + offset for offset in self.inputs.offsets]
        return [self._own_address(i) if step and i in self._own else address for i, address in enumerate(landed)]

    def _own_address(self, index: int) -> int:
        return int(-(-self._own[index].ctypes.data // 64) * 64)

    def rolls(self, step: int) -> list[tuple[int, int, int, int]]:
        """For each input that a later step rolls: where it landed, where it goes, its bytes and an element's."""
        landed = self._base + step * self.inputs.total_bytes
        specs, offsets = self.inputs.specs, self.inputs.offsets
        moves = [(landed + offsets[i], self._own_address(i), specs[i].span_bytes, specs[i].dtype.size_bytes)
                 for i in self._rolled]  # fmt: skip
        return moves if step else []

    def advance(self, step: int, outputs: list[Any]) -> None:
        """Roll the step's inputs by what the outputs of the step before fold to."""
        number = fold(outputs)
        for source, target, size, element_bytes in self.rolls(step):
            roll(memory_at(source, size), memory_at(target, size), element_bytes, number)


class _Python:
    """A Python module or function: `ModelNew`, or the reference itself."""

    def __init__(self, payload: dict[str, Any], blocks: _Blocks) -> None:
        self._torch = torch = sys.modules["torch"]
        torch.set_num_threads(int(payload["threads"]))
        self._blocks = blocks
        specs = [TensorSpec.from_json(spec) for spec in payload["weights"]]
        placement = Placement.pack(specs)
        base = _address(blocks.weights)
        weights = _tensors_at(torch, placement, [base + offset for offset in placement.offsets])
        with torch.random.fork_rng(enabled=True):
            torch.manual_seed(int(payload["construction_seed"]))
            target = load_python(payload)
        bind_weights(target, dict(zip([s.name for s in specs], weights, strict=True)), set(payload["parameters"]))
        self._null = payload["variant"] == "null"
        self._target = target if self._null else _variant(torch, target, payload["variant"])
        self._no_grad = torch.no_grad()
        self._no_grad.__enter__()
        self._previous: Any = None
        self._arguments: list[list[Any]] = []
        self._packet, self._reply = (ctypes.c_uint8 * PACKET_BYTES)(), (ctypes.c_uint8 * PACKET_BYTES)()
        self._written = memoryview(self._reply).cast("B")
        self._callback = PythonCall(self._call)

    def receive(self, channel: socket.socket) -> bytes:
        """The next packet that is no call; calls are served on the way. Empty once the referee has gone."""
        size = len(self._packet)
        length = symbols().assay_native_serve_python(channel.fileno(), self._callback, self._reply, self._packet, size)
        return bytes(self._packet[:length])

    def lay_out(self, layout: dict[str, Any]) -> None:
        """Prepare argument tensors over the shared inputs for the shapes of the calls to come."""
        self._links = links = _Links(layout, _address(self._blocks.inputs))
        self._arguments = []
        for step in range(links.count):
            tensors = iter(_tensors_at(self._torch, links.inputs, links.addresses(step)))
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
                return self._answer.fill(sequence, [output.data_ptr() for output in outputs])
            reply = self._describe(sequence, outputs)
        except BaseException as error:  # noqa: BLE001 - whatever a candidate raises, SystemExit and KeyboardInterrupt too
            reply = pack_reply(Status.RAISED, sequence, (), _describe(error))
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

    def _describe(self, sequence: int, outputs: list[Any]) -> bytes:
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
    from_name = {"compile": None, "compile:max-autotune": "max-autotune-no-cudagraphs", "compile:freezing": None}
    if variant == "compile:freezing":
        torch._inductor.config.freezing = True
    return torch.compile(target, mode=from_name[variant], dynamic=False)


def _placements(layout: dict[str, Any]) -> tuple[Placement, Placement]:
    inputs = Placement.pack(TensorSpec.from_json(spec) for spec in layout["inputs"])
    outputs = Placement.pack((TensorSpec.from_json(spec) for spec in layout["outputs"]), layout["guard_bytes"])
    return inputs, outputs


def _tensors_at(torch: Any, placement: Placement, addresses: list[int]) -> list[Any]:
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


def _address(block: mmap.mmap) -> int:
    numpy = sys.modules["numpy"]
    return int(numpy.frombuffer(block, dtype=numpy.uint8).ctypes.data)


def _read_all(fd: int, size: int) -> bytes:
    with mmap.mmap(fd, size, prot=mmap.PROT_READ) as view:
        return bytes(view)


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:2000]
