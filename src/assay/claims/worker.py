"""Runs a model in a confined process that holds its folder and inputs: no targets, no score, no other model.

Only where the training step's cost is measured, in processes of their own that answer no held-out batch, it also gets
the data file's text and targets. What this process says is evidence: the judge reads numbers of a fixed layout and the
bytes of outputs, and holds the clocks.
"""

from __future__ import annotations

import ctypes
import gc
import json
import mmap
import os
import socket
import sys
import warnings
from collections.abc import Callable
from typing import Any

import torch

from assay.checkpoints.loading import load_model
from assay.claims.operations import UnknownOperations, active_operations
from assay.core.tensors import Placement, TensorSpec
from assay.native.library import PythonCall, symbols
from assay.referee.processes.tensors import load, spec_of
from assay.referee.processes.wire import PACKET_BYTES, Answer, OutputRecord, Place, Status, pack_reply
from assay.sparse import choices
from assay.sparse.library import kernels

_TRAINING_FILE = "/scratch/training_step.py"


def load_kernels() -> None:
    """Called by the zygote, which can still read the cache: its children find built libraries and choices loaded."""
    kernels()
    choices.find("")


def main(channel: socket.socket, fds: list[int], args: dict[str, Any]) -> None:
    """Wait for the word to load, then serve layouts and calls until the judge closes the channel."""
    warnings.simplefilter("ignore")
    payload = json.loads(os.pread(fds[0], args["payload_bytes"], 0))
    inputs = mmap.mmap(fds[1], args["input_bytes"], prot=mmap.PROT_READ)
    channel.recv(PACKET_BYTES)
    try:
        side = _Side(payload, inputs)
    except BaseException as error:  # noqa: BLE001 - a model's code may raise anything, SystemExit too
        channel.send(pack_reply(Status.RAISED, 0, text=_said(error)))
        return
    gc.collect()
    gc.disable()  # on both sides: a collection inside a timed call is noise
    channel.send(pack_reply(Status.OK, 0))
    while packet := side.receive(channel):
        request = json.loads(packet)
        if "count" in request:
            channel.send(side.count())
        elif "trim" in request:
            gc.collect()
            ctypes.CDLL(None).malloc_trim(0)  # what was freed would otherwise stay with the allocator, which keeps all
            channel.send(pack_reply(Status.OK, 0))
        else:
            side.lay_out(request["inputs"])
            channel.send(pack_reply(Status.OK, 0))


class _Side:
    """The model with what a call does: a forward pass, or a training step; or no model and nothing."""

    def __init__(self, payload: dict[str, Any], inputs: mmap.mmap) -> None:
        torch.set_num_threads(int(payload["threads"]))
        self._run = self._runner(payload)
        self._inputs = inputs
        self._arguments: list[torch.Tensor] = []
        self._previous: torch.Tensor | None = None
        self._layout: tuple[Any, ...] = ()
        self._packet, self._reply = (ctypes.c_uint8 * PACKET_BYTES)(), (ctypes.c_uint8 * PACKET_BYTES)()
        self._written = memoryview(self._reply).cast("B")
        self._callback = PythonCall(self._call)

    def lay_out(self, specs: list[dict[str, Any]]) -> None:
        """The layout of the inputs that the next calls find in the shared block."""
        placement = Placement.pack(TensorSpec.from_json(spec) for spec in specs)
        self._arguments = load(torch, placement, self._inputs)

    def receive(self, channel: socket.socket) -> bytes:
        """The next packet that is no call; calls are served on the way. Empty once the judge has gone."""
        size = len(self._packet)
        length = symbols().assay_native_serve_python(channel.fileno(), self._callback, self._reply, self._packet, size)
        return bytes(self._packet[:length])

    def count(self) -> bytes:
        """The active operations of a forward pass on the present inputs, as text; or why they are not known."""
        try:
            return pack_reply(Status.OK, 0, text=str(active_operations(self._model, self._arguments)))
        except UnknownOperations as error:
            return pack_reply(Status.REFUSED, 0, text=str(error))
        except BaseException as error:  # noqa: BLE001 - a model's code may raise anything
            return pack_reply(Status.RAISED, 0, text=_said(error))

    def _call(self, sequence: int, _: int) -> int:
        """One call; the bytes of the answer that is now in `_reply`."""
        try:
            output = _plain(self._run(*self._arguments))
            self._previous = output  # the judge reads it once this process has been stopped
            layout = (output.dtype, output.shape)
            if layout != self._layout:
                self._layout, self._answer = layout, Answer((_record(output),), self._written)
            return self._answer.fill(sequence, [output.data_ptr()])
        except BaseException as error:  # noqa: BLE001 - a model's code may raise anything
            reply = pack_reply(Status.RAISED, sequence, (), _said(error))
        self._written[: len(reply)] = reply
        return len(reply)

    def _runner(self, payload: dict[str, Any]) -> Callable[..., Any]:
        """What a call does."""
        if payload.get("null"):
            answer = torch.zeros(1)
            return lambda *_: answer
        self._model = load_model(payload["folder"], payload["seed"])
        text = payload["training"]
        return self._forward if text is None else _training_step(self._model, text)

    def _forward(self, *inputs: torch.Tensor) -> Any:
        with torch.no_grad():
            return self._model(*inputs)


def _training_step(model: torch.nn.Module, text: str) -> Callable[..., torch.Tensor]:
    """A step as the data file defines it; gives the loss."""
    with open(_TRAINING_FILE, "w", encoding="utf-8") as file:
        file.write(text)
    names: dict[str, Any] = {"__name__": "training_step", "__file__": _TRAINING_FILE}
    exec(compile(text, _TRAINING_FILE, "exec"), names)
    optimizer = names["make_optimizer"](model.train())
    loss = names["loss"]

    def step(*batch: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad()
        found = loss(model, *batch)
        found.backward()
        optimizer.step()
        detached: torch.Tensor = found.detach()
        return detached

    return step


def _record(output: torch.Tensor) -> OutputRecord:
    spec = spec_of("", output)
    return OutputRecord(Place.OWN_MEMORY, spec.dtype.code, spec.shape, spec.strides, 0)


def _plain(outputs: Any) -> torch.Tensor:
    """The model's answer: the tensor that it returns, or the first one where it returns several.

    What is plain already passes without PyTorch's operators: in code gone cold they took as long as a small layer.
    """
    while isinstance(outputs, list | tuple | dict) and len(outputs):
        outputs = next(iter(outputs.values())) if isinstance(outputs, dict) else outputs[0]
    if not isinstance(outputs, torch.Tensor):
        raise TypeError(f"the model returns a {type(outputs).__name__}, not a tensor")
    changes = outputs.requires_grad or outputs.is_conj() or outputs.is_neg()
    if type(outputs) is torch.Tensor and outputs.is_cpu and outputs.is_contiguous() and not changes:
        return outputs
    return outputs.detach().cpu().resolve_conj().resolve_neg().contiguous()


def _said(error: BaseException) -> str:
    where = sys.exc_info()[2]
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    line = f" (line {where.tb_lineno} of {os.path.basename(where.tb_frame.f_code.co_filename)})" if where else ""
    return f"{type(error).__name__}: {error}{line}"
