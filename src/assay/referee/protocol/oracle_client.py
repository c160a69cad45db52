"""The referee's side of the oracle: ask what a task is, draw inputs, read what is expected."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.core.dtypes import DType
from assay.core.sources import Task
from assay.core.tensors import Placement, TensorSpec
from assay.errors import InternalError, TaskError
from assay.referee.protocol.layout import Layout
from assay.referee.protocol.memory import Block, Bytes
from assay.referee.protocol.secret import Secret
from assay.sandbox.memfd import sealed_memfd
from assay.sandbox.spawn import Child, Zygote, printable

_ANSWER_SECONDS = 120.0
_PACKET_BYTES = 256 << 10

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a task program declares about itself."""

    declared: Mapping[str, Any]
    init_arguments: list[Any]
    weights: tuple[TensorSpec, ...]
    parameters: tuple[str, ...]
    training_batch_norm: bool

    @property
    def axes(self) -> dict[str, int]:
        """The named sizes that are timed."""
        return dict(self.declared.get("axes", {}))

    @property
    def frozen(self) -> bool:
        """Whether a candidate may fold or prepack weights."""
        return bool(self.declared.get("weights", "live") == "frozen")

    @property
    def mode(self) -> str:
        """ "eval" or "train"."""
        return str(self.declared.get("mode", "eval"))


@dataclass(frozen=True, slots=True)
class Draw:
    """One drawn input. Arrays are views of shared blocks: the next draw overwrites them.

    `expected` are float64 (or integer) arrays in logical order, `reference` the task's own types. `seed` is 0 for
    inputs that the referee has made of an earlier draw.
    """

    layout: Layout
    family: str
    seed: int
    run_seed: int
    inputs: Bytes
    expected: tuple[Array, ...]
    reference: tuple[Array, ...] = ()
    nearby: tuple[Array, ...] = ()
    half: tuple[Array, ...] = ()
    weights_seeds: tuple[int, int] = (0, 0)
    """Of the last drawing of all weights, and of that of the parameters alone since; 0 where there was none."""


class Oracle:
    """A confined process that runs the reference. Close it when done.

    Raises TaskError with the task's own words where the program does not load or run.
    """

    def __init__(
        self, zygote: Zygote, task: Task, secret: Secret, *, threads: int, memory_bytes: int, construction_seed: int
    ) -> None:
        self._secret = secret
        self.construction_seed = construction_seed
        self._weights_seeds = (0, 0)
        payload = {"task": task.to_json(), "threads": threads, "construction_seed": self.construction_seed}
        raw = json.dumps(payload).encode()
        fd = sealed_memfd("assay-task", raw)
        try:
            self._child: Child = zygote.spawn(
                "assay.referee.processes.oracle:main", {"payload_bytes": len(raw)}, [fd], memory_bytes=memory_bytes
            )
        finally:
            os.close(fd)
        self._blocks: dict[str, Block] = {}

    def declare(self) -> Declaration:
        """Load the program."""
        answer = self._ask({"op": "load"})
        return Declaration(
            declared=answer["declared"],
            init_arguments=answer["init_arguments"],
            weights=tuple(TensorSpec.from_json(spec) for spec in answer["weights"]),
            parameters=tuple(answer["parameters"]),
            training_batch_norm=answer["training_batch_norm"],
        )

    def describe(self, axes: Mapping[str, int]) -> Layout:
        """Run the reference once at these axes."""
        answer = self._ask({"op": "describe", "axes": dict(axes), "seed": self._secret.seed()})
        try:
            return Layout.from_description(axes, answer)
        except ValueError as error:
            raise TaskError("the task uses tensors that no candidate can receive", value=str(error)) from error

    def allocate(self, layouts: Iterable[Layout], weights: Iterable[TensorSpec]) -> None:
        """Shared blocks that hold any of the layouts."""
        layouts = tuple(layouts)
        wide = max(layout.wide_bytes for layout in layouts)
        sizes = {
            "inputs": max(layout.inputs.total_bytes for layout in layouts),
            "weights": Placement.pack(weights).total_bytes,
            "expected": wide,
            "reference": wide,
            "nearby": wide,
            "half": wide,
        }
        self._blocks = {n: Block(size, read_only_elsewhere=False, name=f"assay-{n}") for n, size in sizes.items()}
        blocks = self._blocks
        request = {"op": "blocks", "sizes": {name: block.size_bytes for name, block in blocks.items()}}
        self._ask(request, [block.fd for block in blocks.values()])

    @property
    def weights(self) -> Bytes:
        """The weights as last drawn."""
        return self._blocks["weights"].bytes

    def draw(
        self,
        layout: Layout,
        family: str,
        *,
        weights: str = "keep",
        want: tuple[str, ...] = ("expected",),
        seeds: tuple[int, int, int] | None = None,
    ) -> Draw:
        """Fresh secret inputs and what they should give.

        Args:
            layout: from `describe`.
            family: see `assay.referee.correctness.families`.
            weights: "keep", "parameters" or "all": which weights to draw anew.
            want: any of "expected", "reference", "nearby" (inputs moved by rounding), "half" (run in bfloat16).
            seeds: (inputs, run, weights) of an earlier draw, to repeat it.
        """
        seed, run_seed, weights_seed = seeds or (self._secret.seed(), self._secret.seed(), self._secret.seed())
        run_seed = run_seed if layout.draws_random else 0
        request = {
            "op": "draw", "axes": dict(layout.axes), "seed": seed, "family": family, "run_seed": run_seed,
            "weights_seed": 0 if weights == "keep" else weights_seed, "parameters_only": weights == "parameters",
            "want": list(want), "move": None,
        }  # fmt: skip
        answer = self._ask(request)
        if weights != "keep":
            self._weights_seeds = (weights_seed, 0) if weights == "all" else (self._weights_seeds[0], weights_seed)
        return replace(self._drawn(layout, family, run_seed, answer), seed=seed, weights_seeds=self._weights_seeds)

    def evaluate(
        self,
        layout: Layout,
        inputs: Bytes,
        *,
        run_seed: int = 0,
        want: tuple[str, ...] = ("expected",),
        move: tuple[float, int] | None = None,
    ) -> Draw:
        """What these inputs, laid out as `layout` says, should give.

        Args:
            layout: from `describe`.
            inputs: as many bytes as the layout's inputs take.
            run_seed: that of the draw, for a reference that draws random numbers.
            want: as for `draw`.
            move: by how many units in the last place "nearby" moves the inputs at most, and a seed; one, at random,
                where it is not given. Equal inputs move alike, and the other way where the units are negative.
        """
        self._blocks["inputs"].bytes[: layout.inputs.total_bytes] = inputs
        request = {"op": "evaluate", "axes": dict(layout.axes), "run_seed": run_seed, "want": list(want), "move": move}
        return self._drawn(layout, "own", run_seed, self._ask(request))

    def _drawn(self, layout: Layout, family: str, run_seed: int, answer: Mapping[str, Any]) -> Draw:
        inputs = self._blocks["inputs"].bytes[: layout.inputs.total_bytes]
        expected, reference, nearby, half = (
            self._views(name, answer.get(name, ())) for name in ("expected", "reference", "nearby", "half")
        )
        return Draw(layout, family, 0, run_seed, inputs, expected, reference, nearby, half)

    def _views(self, block: str, specs: Iterable[Mapping[str, Any]]) -> tuple[Array, ...]:
        placement = Placement.pack(TensorSpec.from_json(spec) for spec in specs)
        return tuple(
            view(self._blocks[block].bytes, spec, offset)
            for spec, offset in zip(placement.specs, placement.offsets, strict=True)
        )

    def _ask(self, request: Mapping[str, Any], fds: Iterable[int] = ()) -> Any:
        self._child.channel.settimeout(_ANSWER_SECONDS)
        fds = list(fds)
        packet = json.dumps(request).encode()
        raw = self._exchange(packet, fds)
        if not raw or not self._child.stop():
            raise self._death()
        answer = json.loads(raw)
        if "error" in answer:
            raise _task_error(answer)
        return answer

    def _exchange(self, packet: bytes, fds: list[int]) -> bytes:
        """One question and its answer. The oracle rests stopped in between: its OpenMP threads spin for milliseconds
        after their work, on the cores that a timed call needs."""
        try:
            self._child.resume()
            if fds:
                socket.send_fds(self._child.channel, [packet], fds)
            else:
                self._child.channel.send(packet)
            return self._child.channel.recv(_PACKET_BYTES)
        except TimeoutError:
            raise TaskError(
                "the reference takes too long",
                value=f"no answer within {_ANSWER_SECONDS:.0f} s",
                next_step="use smaller axes or the scaled profile",
            ) from None
        except OSError as error:
            raise InternalError("the oracle cannot be reached", value=str(error)) from error

    def _death(self) -> TaskError:
        self._child.kill()
        text = printable(self._child.log).strip()[-500:]
        return TaskError(
            "the reference ended its process",
            value=text or f"status {self._child.exit_status}",
            rule="a reference runs within the memory of this machine and does not exit",
            next_step="use smaller axes or the scaled profile",
        )

    def close(self) -> None:
        """End the process and free the blocks."""
        self._child.kill()
        for block in self._blocks.values():
            block.close()
        self._blocks = {}


def view(block: Bytes, spec: TensorSpec, offset: int) -> Array:
    """A tensor in a block as a NumPy array; bfloat16 comes as its raw 16-bit patterns."""
    kind = np.dtype(NUMPY_TYPES[spec.dtype])
    if spec.numel == 0:
        return np.empty(spec.shape, kind)
    flat = np.frombuffer(block.data, dtype=kind, count=spec.span_bytes // kind.itemsize, offset=offset)
    strides = tuple(stride * kind.itemsize for stride in spec.strides)
    return np.lib.stride_tricks.as_strided(flat, spec.shape, strides, writeable=False)


NUMPY_TYPES: dict[DType, str] = {d: d.value for d in DType} | {DType.BFLOAT16: "uint16"}


def _task_error(answer: Mapping[str, Any]) -> TaskError:
    message, where = str(answer["error"]), str(answer.get("where", ""))
    lowered = message.lower()
    next_step = "correct the task file"
    if "cuda" in lowered:
        next_step = "this task asks for a GPU; remove .cuda() and device='cuda' so that it runs where its inputs are"
    elif "memory" in lowered or "bad_alloc" in lowered:
        next_step = "the task is too large for this machine; use smaller axes or the scaled profile"
    value = f"{message} ({where})" if where else message
    return TaskError("the task program fails", value=value, rule="see docs/task-format.md", next_step=next_step)
