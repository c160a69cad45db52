"""Does the exported program compute what the PyTorch model computes? Compared input by input, nothing sampled away.

Guaranteed for a float program: on all inputs compared, outputs differ by less than the rounding errors of both sides
can explain. For an integer program: it is bit for bit the arithmetic that `quantise` defines; how near that is to the
model is reported. With binary inputs all of them are compared, which for a float program proves every decision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from assay.errors import InputError
from assay.export.checking import HostProgram
from assay.export.integer_reference import compute_integers
from assay.export.network import Array, Network, decisions
from assay.export.quantise import IntegerNetwork
from assay.export.reference import rounding_bound

MOST_BINARY_INPUTS = 25
_BATCH = 1 << 14
Progress = Callable[[str, float], None]
Answer = Callable[[Array], Array]
"""Outputs [n, outputs] for inputs [n, ...]."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What comparing found. `largest_difference` and `bound` are None for a program that only decides.

    `bound` is of float programs, `wrong_bits` of integer ones: outputs that are not those of the reference.
    `right_before` and `right` count decisions that are the target, of the model and of the program.
    """

    inputs: int
    is_every_input: bool
    largest_difference: float | None
    bound: float | None
    wrong_bits: int | None
    other_decisions: int
    decisions: int
    right_before: int | None
    right: int | None

    @property
    def accepted(self) -> bool:
        """Within rounding, or bit for bit; every decision the same where that is all, or all inputs were compared."""
        if self.wrong_bits is not None:
            return self.wrong_bits == 0
        is_near = self.largest_difference is None or self.bound is None or self.largest_difference <= self.bound
        must_decide = self.is_every_input or self.largest_difference is None
        return is_near and not (must_decide and self.other_decisions)

    def to_json(self) -> dict[str, Any]:
        """A plain mapping."""
        return {name: getattr(self, name) for name in self.__slots__} | {"accepted": self.accepted}


@dataclass(frozen=True, slots=True)
class Case:
    """What is compared: the network as it was read, as it was folded, and as integers where the program has those."""

    read: Network
    lean: Network
    integer: IntegerNetwork | None = None


def compare(
    run: HostProgram | Answer, case: Case, model: nn.Module, inputs: Array | None,
    targets: Array | None = None, progress: Progress = lambda _what, _share: None,
) -> Agreement:  # fmt: skip
    """Compare a program's outputs with a model's, on inputs [n, ...], or on all binary ones where there are none.

    Raises InputError for more than 25 binary inputs.
    """
    answer = run.run if isinstance(run, HostProgram) else run
    tally = _Tally(case)
    count = len(inputs) if inputs is not None else 1 << _binary_width(case.read)
    for at, batch in _batches(case.read, inputs, count):
        progress("comparing with PyTorch", at / count)
        expected = _outputs(model, batch)
        given = batch if case.integer is None else case.integer.takes.quantise(batch)
        by_number = isinstance(run, HostProgram) and inputs is None
        found = answer(given) if not by_number else run.run_binary(at, len(batch))  # type: ignore[union-attr]  # as by_number says
        tally.add(given, expected, found, None if targets is None else targets[at : at + len(batch)])
    bounds = (0.0, 1.0) if inputs is None else (inputs.min(0), inputs.max(0))
    return tally.result(count, inputs is None, *(np.broadcast_to(edge, case.read.takes) if inputs is None else edge
                                                 for edge in map(np.asarray, bounds)))  # fmt: skip


def _binary_width(network: Network) -> int:
    width = int(np.prod(network.takes))
    if width > MOST_BINARY_INPUTS:
        raise InputError("there are too many binary inputs to try all", value=f"2^{width}",
                         rule=f"{MOST_BINARY_INPUTS} at most", next_step="export without --binary-inputs")  # fmt: skip
    return width


def _batches(network: Network, inputs: Array | None, count: int) -> Iterator[tuple[int, Array]]:
    for at in range(0, count, _BATCH):
        if inputs is not None:
            yield at, inputs[at : at + _BATCH]
            continue
        numbers = np.arange(at, min(at + _BATCH, count))
        bits = numbers[:, None] >> np.arange(int(np.prod(network.takes))) & 1
        yield at, bits.astype(np.float32).reshape(len(numbers), *network.takes)


def _outputs(model: nn.Module, batch: Array) -> Array:
    """The model's own answers, in the type of its weights."""
    kind = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    with torch.no_grad():
        found: Array = model(torch.from_numpy(np.ascontiguousarray(batch)).to(kind)).numpy()
    return found.reshape(len(batch), -1)


class _Tally:
    def __init__(self, case: Case) -> None:
        self._case = case
        self._difference, self._wrong_bits, self._other, self._decisions = 0.0, 0, 0, 0
        self._right = [0, 0]
        self._has_targets = False

    def add(self, given: Array, expected: Array, found: Array, targets: Array | None) -> None:
        network, integer = self._case.read, self._case.integer
        if integer is not None:
            self._wrong_bits += int((self._integers(given) != found).sum())
        by_model = (
            expected.astype(np.int64) if network.decides and _is_decided(expected) else _decided(network, expected)
        )
        if self._case.lean.decides:
            by_program = found.astype(np.int64)
        else:
            values = found * integer.output.scale if integer is not None else found
            self._difference = max(self._difference, float(np.abs(values - expected).max()))
            by_program = _decided(network, values)
        by_model, by_program = by_model.reshape(len(found), -1), by_program.reshape(len(found), -1)
        self._other += int((by_model != by_program).sum())
        self._decisions += by_model.size
        if targets is not None:
            self._has_targets = True
            for place, decided in enumerate((by_model, by_program)):
                self._right[place] += int((decided == targets.reshape(len(found), -1)).sum())

    def _integers(self, given: Array) -> Array:
        integer = self._case.integer
        assert integer is not None
        outputs = compute_integers(integer, given).reshape(len(given), -1)
        if not integer.network.decides:
            return outputs
        return (outputs > 0 if outputs.shape[1] == 1 else outputs.argmax(1)[:, None]).astype(np.int64)

    def result(self, inputs: int, is_every_input: bool, least: Array, most: Array) -> Agreement:
        read, lean, integer = self._case.read, self._case.lean, self._case.integer
        bound = None
        if integer is None and not lean.decides:
            bound = rounding_bound(read, least, most) + rounding_bound(lean, least, most)
        return Agreement(
            inputs, is_every_input, None if lean.decides else self._difference, bound,
            None if integer is None else self._wrong_bits, self._other, self._decisions,
            *(self._right if self._has_targets else (None, None)),
        )  # fmt: skip


def _is_decided(outputs: Array) -> bool:
    return np.issubdtype(outputs.dtype, np.integer)


def _decided(network: Network, outputs: Array) -> Array:
    """As `decisions`; with a network that decides, the largest of several outputs even after a sigmoid."""
    if network.decides and network.output[0] > 1:
        return np.asarray(outputs.reshape(len(outputs), *network.output).argmax(1))
    return decisions(network, outputs)
