"""Fresh processes of both models, called in turns on the same inputs under the judge's clock."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from assay.claims.courtroom import SIDES, Courtroom
from assay.claims.party import Answer, ModelFailed, ModelProcess
from assay.claims.samples import Samples, TimedPair
from assay.claims.settings import ClaimSettings, Cost
from assay.core.verdicts import Finding, Weight
from assay.errors import AssayError, Fault, InputError, InternalError
from assay.referee.protocol.memory import Block
from assay.referee.protocol.secret import Secret

Pair = tuple[ModelProcess, ModelProcess]

_NULL = 2
"""Beside the sides 0 and 1: the process without a model."""
FEWEST_WARM_UP = 2
_MOST_WARM_UP, _WARM_UP_S = 12, 0.5
"""Until freed results lie beside each other and serve again (see assay.referee.protocol.settling); slow models less."""


class Rejected(AssayError):
    """The cheap model has failed, and nothing that could still be measured would change that."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


class Turns:
    """Makes pairs of processes and times them; `samples` gets every timed call.

    A context manager, which holds the process that a turn's null call goes to: the worker without a model, on the same
    inputs. What it takes is the judge's own (see `cost`).
    """

    def __init__(
        self, room: Courtroom, settings: ClaimSettings, secret: Secret, inputs: Block, samples: Samples
    ) -> None:
        self._room, self._settings, self._secret, self._inputs = room, settings, secret, inputs
        self._samples, self._flip = samples, 0
        self._null = self._process(0, {"null": True})

    def __enter__(self) -> Turns:
        return self

    def __exit__(self, *_: object) -> None:
        self._null.close()

    @contextlib.contextmanager
    def pair(self, seed: int | None, training: str | None = None) -> Iterator[Pair]:
        """Fresh processes of both, in secret order: which memory a process gets first decides some of its time."""
        processes: dict[int, ModelProcess] = {}
        try:
            for side in self._secret.shuffled(2):
                folder = str(self._room.folders[side].path)
                with blamed(side):
                    processes[side] = self._process(side, {"folder": folder, "seed": seed, "training": training})
            yield processes[0], processes[1]
        finally:
            for process in processes.values():
                process.close()

    def turn(self, pair: Pair, inputs: tuple[Tensor, ...], cost: Cost, number: int, turn: int) -> tuple[Answer, Answer]:
        """Both models on the same inputs, the order changing from turn to turn; turns below 0 are no samples."""
        answers: dict[int, Answer] = {}
        if turn == 0:
            self._flip = self._secret.below(2)
        order = [0, 1] if (turn + self._flip) % 2 == 0 else [1, 0]
        order.insert(turn % 3, _NULL)
        for side in order:
            with blamed(side):
                answers[side] = (*pair, self._null)[side].call(inputs)
        both = (answers[0], answers[1])
        if turn >= 0:
            wall, cpu, late = ((getattr(both[0], name), getattr(both[1], name))
                               for name in ("wall_ns", "cpu_ns", "preempted_ns"))  # fmt: skip
            null = (answers[_NULL].wall_ns, answers[_NULL].cpu_ns)
            self._samples.pairs.append(TimedPair(cost, number, wall, cpu, late, null))
        return both

    def warm_up(self, pair: Pair, inputs: tuple[Tensor, ...]) -> None:
        """Calls that do not count."""
        started = time.monotonic()
        for count in range(_MOST_WARM_UP):
            self.turn(pair, inputs, Cost.THROUGHPUT, 0, -1)
            if count + 1 >= FEWEST_WARM_UP and time.monotonic() - started > _WARM_UP_S:
                return

    def _process(self, side: int, payload: dict[str, Any]) -> ModelProcess:
        payload = payload | {"threads": self._settings.threads}
        return ModelProcess(self._room.zygotes[side], payload, self._inputs, self._room.memory_bytes,
                            self._settings.call_timeout_s)  # fmt: skip


@contextlib.contextmanager
def blamed(side: int) -> Iterator[None]:
    """Whose failure it is: the dense model's leaves nothing to compare with, the cheap one's rejects."""
    try:
        yield
    except ModelFailed as error:
        if side == _NULL:
            raise InternalError("a worker without a model fails", value=error.what[:600]) from error
        if side == 1:
            raise Rejected(Finding(error.code, Weight.FATAL, error.what, Fault.CANDIDATE)) from error
        raise InputError(f"the {SIDES[side]} model fails", value=error.what[:600],
                         rule="both models load and answer every held-out batch") from error  # fmt: skip


def not_finite(side: int, words: str) -> AssayError:
    """The error for answers that are no numbers, to be raised."""
    if side == 1:
        return Rejected(Finding("not-finite", Weight.FATAL, words, Fault.CANDIDATE))
    return InputError("the dense model's answers are no numbers", value=words, rule="there is nothing to be as good as")
