"""The oracle's process: it runs the reference, never a candidate. Confined too, for a task file is a stranger's code.

It draws inputs from a secret seed, computes what is expected in float64, and what the reference itself gives in the
task's type. It decides nothing; comparison and tolerance are the referee's.
"""

from __future__ import annotations

import copy
import json
import mmap
import socket
import traceback
import warnings
from typing import Any

from assay.core.tensors import Placement, TensorSpec
from assay.referee.processes.description import describe
from assay.referee.processes.loading import flatten
from assay.referee.processes.reference import Reference, weights_of
from assay.referee.processes.tensors import load, spec_of, store

_PACKET_BYTES = 128 << 10


def main(channel: socket.socket, fds: list[int], args: dict[str, Any]) -> None:
    """Answer the referee's requests, JSON each way, until the channel closes."""
    warnings.simplefilter("ignore")
    with mmap.mmap(fds[0], args["payload_bytes"], prot=mmap.PROT_READ) as view:
        payload = json.loads(bytes(view))
    oracle: _Oracle | None = None
    blocks: dict[str, mmap.mmap] = {}
    while True:
        packet, received, _, _ = socket.recv_fds(channel, _PACKET_BYTES, 8)
        if not packet:
            return
        request = json.loads(packet)
        try:
            if request["op"] == "blocks":
                names = request["sizes"]
                blocks = {n: mmap.mmap(fd, names[n]) for n, fd in zip(names, received, strict=True)}
                answer: dict[str, Any] = {}
            elif request["op"] == "load":
                oracle = _Oracle(payload)
                answer = oracle.reference.declare()
            elif oracle is None:
                raise RuntimeError("not loaded")
            elif request["op"] == "describe":
                answer = oracle.describe(request["axes"], request["seed"])
            elif request["op"] == "evaluate":
                answer = oracle.evaluate(blocks, request)
            else:
                answer = oracle.draw(blocks, request)
        except BaseException as error:  # noqa: BLE001 - a task may raise anything; the referee turns it into a clear verdict
            answer = {"error": f"{type(error).__name__}: {error}"[:1500], "where": _task_frames(error)}
        channel.send(json.dumps(answer).encode()[:_PACKET_BYTES])


class _Oracle:
    """Draws and evaluates, and keeps how the inputs look at each choice of axes."""

    def __init__(self, payload: dict[str, Any]) -> None:
        self.reference = Reference(payload)
        self.torch = self.reference.torch
        self._described: dict[str, list[TensorSpec]] = {}
        self._scalars: dict[str, list[Any]] = {}

    def describe(self, axes: dict[str, int], seed: int) -> dict[str, Any]:
        """See description.py; draws and evaluations at these axes are possible from then on."""
        arguments, found = describe(self.reference, axes, seed)
        key = json.dumps(axes, sort_keys=True)
        self._described[key] = [spec_of("", a) for a in arguments if isinstance(a, self.torch.Tensor)]
        self._scalars[key] = [None if isinstance(a, self.torch.Tensor) else a for a in arguments]
        return found

    def draw(self, blocks: dict[str, mmap.mmap], request: dict[str, Any]) -> dict[str, Any]:
        """Fresh inputs (and weights, on request), the expected outputs, and what else the request wants."""
        torch = self.torch
        if request.get("weights_seed"):
            self.reference.draw_weights(request["weights_seed"], request["parameters_only"])
            store(torch, [t.data for t in self.reference.state().values()], blocks["weights"])
        arguments = self.reference.draw_decided(request["axes"], request["seed"], request["family"])
        tensors = [a for a in arguments if isinstance(a, torch.Tensor)]
        if [spec_of("", a) for a in tensors] != self._described[json.dumps(request["axes"], sort_keys=True)]:
            raise ValueError("get_inputs must give the same shapes, types and strides every time for the same axes")
        store(torch, tensors, blocks["inputs"])
        return self._results(arguments, blocks, request)

    def evaluate(self, blocks: dict[str, mmap.mmap], request: dict[str, Any]) -> dict[str, Any]:
        """What the inputs that lie in the block should give."""
        key = json.dumps(request["axes"], sort_keys=True)
        placement = Placement.pack(self._described[key])
        tensors = iter(load(self.torch, placement, blocks["inputs"]))
        arguments = [next(tensors).clone() if a is None else a for a in self._scalars[key]]
        self.torch.manual_seed(0)
        return self._results(arguments, blocks, request)

    def _results(self, arguments: list[Any], blocks: dict[str, mmap.mmap], request: dict[str, Any]) -> dict[str, Any]:
        torch, run_seed = self.torch, request["run_seed"]
        answer: dict[str, Any] = {}
        if "expected" in request["want"]:
            answer["expected"] = self._store_expected(arguments, run_seed, blocks["expected"])
        if "reference" in request["want"]:
            outputs = [output.contiguous() for output in self.reference.run(arguments, run_seed)]
            answer["reference"] = [spec_of("", output).to_json() for output in outputs]
            store(torch, outputs, blocks["reference"])
        if "nearby" in request["want"]:
            units, move_seed = request["move"] or (None, 0)
            near = [_nudged(torch, a) if units is None else moved(torch, a, units, move_seed) for a in arguments]
            answer["nearby"] = self._store_expected(near, run_seed, blocks["nearby"])
        if "half" in request["want"] and (half := self._half(arguments, run_seed)) is not None:
            answer["half"] = [spec_of("", o).to_json() for o in half]
            store(torch, half, blocks["half"])
        return answer

    def _half(self, arguments: list[Any], run_seed: int) -> list[Any] | None:
        """The reference run in bfloat16, widened again; None where it does not run in that type."""
        torch, model = self.torch, self.reference.model
        try:
            model = copy.deepcopy(model).to(torch.bfloat16) if weights_of(model) else model
            low = [a.bfloat16() if isinstance(a, torch.Tensor) and a.is_floating_point() else a for a in arguments]
            if run_seed:
                torch.manual_seed(run_seed)
            with torch.no_grad():
                outputs = flatten(torch, model(*low))
        except (RuntimeError, TypeError, NotImplementedError):
            return None
        wanted = self.reference.run(arguments, run_seed)
        return [o.to(w.dtype).contiguous() for o, w in zip(outputs, wanted, strict=True)]

    def _store_expected(self, arguments: list[Any], run_seed: int, block: mmap.mmap) -> list[dict[str, Any]]:
        """Store float64 (or integer) outputs in logical order; the reference's where there is no float64 oracle."""
        if run_seed:
            self.torch.manual_seed(run_seed)
        if self.reference.exact is None:
            outputs = self.reference.run(arguments, run_seed)
        else:
            outputs = flatten(self.torch, self.reference.run_exact(arguments))
        wide = [(o.double() if o.is_floating_point() else o).contiguous() for o in outputs]
        store(self.torch, wide, block)
        return [spec_of("", o).to_json() for o in wide]


def _nudged(torch: Any, value: Any) -> Any:
    """Every element moved by at most one unit in the last place: the change that any input's rounding makes."""
    if not isinstance(value, torch.Tensor) or not value.is_floating_point():
        return value
    wide = value.double()
    return wide * (1.0 + torch.finfo(value.dtype).eps * (2.0 * torch.rand_like(wide) - 1.0))


def moved(torch: Any, value: Any, units: float, seed: int) -> Any:
    """Every element moved by at most `units` units in the last place, by a hash of its size: ties stay ties."""
    if not isinstance(value, torch.Tensor) or not value.is_floating_point():
        return value
    wide = value.double()
    hashed = (wide.abs().view(torch.int64) ^ seed) * _ODD
    hashed = (hashed ^ (hashed >> 32)) * _ODD
    share = (hashed >> 32).double() / 2.0**31
    return wide * (1.0 + units * torch.finfo(value.dtype).eps * share)


_ODD = 0x9E3779B97F4A7C15 - 2**64
"""2^64 over the golden ratio, odd: multiplicative hashing (Knuth, The Art of Computer Programming, volume 3, 6.4)."""


def _task_frames(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    root = "/scratch/source/"
    own = [f"{f.filename.removeprefix(root)}:{f.lineno}" for f in frames if f.filename.startswith(root)]
    return own[-1] if own else ""
