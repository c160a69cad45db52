"""Rounds of fresh processes of both models: held-out data, timed calls, memory, and a look at what depends on what.

In a round one process of each model is loaded from its folder and both answer the same inputs in turns, the order
changing from turn to turn (ABBA). The first rounds, one for each seed, go through all held-out data: what is scored for
quality is what is timed. Every later timed call is scored as well, and compared with the first answer on that example,
so that a model cannot be fast in one kind of call and good in another.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from torch import Tensor

from assay.claims.causality import continued, looked_ahead
from assay.claims.courtroom import SIDES, Courtroom
from assay.claims.evidence import Evidence
from assay.claims.held_out import Batch, HeldOut, all_finite, has_nan, specs_of
from assay.claims.party import Answer, ModelFailed, ModelProcess
from assay.claims.samples import TimedPair
from assay.claims.settings import ClaimSettings, Cost
from assay.core.tensors import Placement
from assay.core.verdicts import Finding, Weight
from assay.errors import AssayError, Fault, InputError
from assay.referee.protocol.memory import Block
from assay.referee.protocol.secret import Secret

Pair = tuple[ModelProcess, ModelProcess]
Progress = Callable[[str, float], None]

_WARM_UP_CALLS, _WARM_UP_S = 12, 0.5
"""Until freed results lie beside each other and serve again (see assay.referee.protocol.settling); slow models less."""
_FEWEST_WARM_UP = 2
CAUSAL_CHECKS = 3
"""For each seed: a model that looks ahead does so everywhere."""


class Rejected(AssayError):
    """The cheap model has failed, and nothing that could still be measured would change that."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


class Measurement:
    """One judgement's measuring. `run` may be called once."""

    def __init__(
        self, room: Courtroom, data: HeldOut, settings: ClaimSettings, secret: Secret, progress: Progress
    ) -> None:
        self._room, self._data, self._settings, self._seeds = room, data, settings, room.seeds
        self._secret, self._progress = secret, progress
        self._rounds, self._flip = max(settings.rounds, len(room.seeds)), 0
        self._starts = [sum(batch.examples for batch in data.batches[:number]) for number in range(len(data.batches))]
        self.evidence = Evidence(batch=[number for number, batch in enumerate(data.batches)
                                        for _ in range(batch.examples)])  # fmt: skip

    def run(self) -> Evidence:
        """Measure. Raises InputError for what makes the two incomparable: a dense model that fails, other shapes."""
        evidence = self.evidence
        for seed in self._seeds:
            sizes = [folder.weights(seed).stat().st_size for folder in self._room.folders]
            evidence.samples.sizes.append((sizes[0], sizes[1]))
        largest = max(_room_for((*batch.inputs, batch.targets), batch.inputs) for batch in self._data.batches)
        self._inputs = Block(largest, read_only_elsewhere=True, name="assay-sealed-inputs")
        try:
            for number in range(self._rounds):
                self._round(number)
            self._training()
        except Rejected as stop:
            evidence.findings.append(stop.finding)
        finally:
            self._inputs.close()
        return evidence

    def _round(self, number: int) -> None:
        first = number < len(self._seeds)
        index = number % len(self._seeds)
        batches = self._data.batches
        with self._pair(self._seeds[index], None) as pair:
            self.evidence.layers = pair[1].layers
            self._warm_up(pair, batches[0].inputs)
            order = self._plan(first)
            for turn, chosen in enumerate(order):
                answers = self._turn(pair, batches[chosen].inputs, Cost.THROUGHPUT, number, turn)
                self._score(index, chosen, answers, first=first and turn < len(batches))
                self._progress("measuring", (number + (turn + 1) / len(order)) / self._rounds)
            self._latency(pair, index, number)
            self._memory(pair)
            if first and self._data.causal:
                self._causality(pair[1])
            if number == 0:
                pair[0].call(batches[0].inputs), pair[1].call(batches[0].inputs)
                self.evidence.operations = [process.count_operations() for process in pair]

    def _plan(self, first: bool) -> list[int]:
        """Which batches a round answers: all of them in a seed's first, and enough turns in any."""
        count, order = len(self._data.batches), []
        if first:
            order = list(range(count))
        return order + [self._secret.below(count) for _ in range(self._settings.turns - len(order))]

    def _latency(self, pair: Pair, index: int, number: int) -> None:
        """Single examples, after a few that do not count: shapes are new to the allocator."""
        for turn in range(-_FEWEST_WARM_UP, self._settings.turns):
            chosen = self._secret.below(len(self._data.batches))
            place = self._secret.below(self._data.batches[chosen].examples)
            one = self._data.batches[chosen].one(place)
            answers = self._turn(pair, one.inputs, Cost.LATENCY, number, turn)
            self._check_outputs(answers, chosen)
            loss = self._losses(1, answers[1].output, one, chosen)[0]
            self.evidence.again.append(loss - self.evidence.losses[1][index][self._starts[chosen] + place])

    def _memory(self, pair: Pair) -> None:
        """Both models' peaks on the largest batch."""
        batch = max(self._data.batches, key=lambda each: each.examples)
        peaks = []
        for side in (0, 1):
            with _blamed(side):
                peaks.append(pair[side].peak_bytes(batch.inputs))
        dense, cheap = peaks
        if dense is None or cheap is None:
            self.evidence.absent[Cost.MEMORY] = "this system does not let a process's peak begin anew (clear_refs)"
        else:
            self.evidence.samples.peaks.append((dense, cheap))

    def _turn(
        self, pair: Pair, inputs: tuple[Tensor, ...], cost: Cost, number: int, turn: int
    ) -> tuple[Answer, Answer]:
        """Both models on the same inputs; turns below 0 are no samples."""
        answers: dict[int, Answer] = {}
        if turn == 0:
            self._flip = self._secret.below(2)
        for side in (0, 1) if (turn + self._flip) % 2 == 0 else (1, 0):
            with _blamed(side):
                answers[side] = pair[side].call(inputs)
        if turn >= 0:
            both = (answers[0], answers[1])
            self.evidence.samples.pairs.append(TimedPair(
                cost, number, *((getattr(both[0], name), getattr(both[1], name))
                                for name in ("wall_ns", "cpu_ns", "preempted_ns")),
            ))  # fmt: skip
        return answers[0], answers[1]

    def _score(self, index: int, chosen: int, answers: tuple[Answer, Answer], *, first: bool) -> None:
        self._check_outputs(answers, chosen)
        batch, losses = self._data.batches[chosen], self.evidence.losses
        if not first:
            known = losses[1][index][self._starts[chosen] :]
            again = self._losses(1, answers[1].output, batch, chosen)
            self.evidence.again += [now - then for now, then in zip(again, known, strict=False)]
            return
        for side in (0, 1):
            if chosen == 0:
                losses[side].append([])
            losses[side][index] += self._losses(side, answers[side].output, batch, chosen)

    def _losses(self, side: int, output: Tensor, batch: Batch, chosen: int) -> list[float]:
        found = self._data.losses(output, batch)
        if not all_finite(found):
            self._not_finite(side, f"a loss on held-out batch {chosen} is not finite", chosen)
        return found

    def _check_outputs(self, answers: tuple[Answer, Answer], chosen: int) -> None:
        dense, cheap = (answer.output for answer in answers)
        if dense.shape != cheap.shape:
            raise InputError(
                "the models' outputs have different shapes", value=f"{tuple(dense.shape)} and {tuple(cheap.shape)}",
                rule="both answer the same task; of several tensors the first counts",
            )  # fmt: skip
        for side, output in enumerate((dense, cheap)):
            if has_nan(output):
                self._not_finite(side, f"an output on held-out batch {chosen} is NaN", chosen)

    def _not_finite(self, side: int, words: str, chosen: int) -> None:
        if side == 0:
            raise InputError(
                "the dense model's answers are no numbers", value=words, rule="there is nothing to be as good as"
            )
        raise Rejected(Finding("not-finite", Weight.FATAL, words, Fault.CANDIDATE, {"batch": chosen}))

    def _causality(self, cheap: ModelProcess) -> None:
        """Exchange what comes after a secret position, twice, and see whether what comes before has changed."""
        for _ in range(CAUSAL_CHECKS):
            chosen = self._secret.below(len(self._data.batches))
            batch = self._data.batches[chosen]
            position = 1 + self._secret.below(batch.inputs[0].shape[1] - 1)
            shifts = self._secret.shuffled(batch.examples)
            exchanged = [found for shift in shifts if (found := continued(batch, position, shift)) is not None][:2]
            if not exchanged:
                continue  # every example continues alike from here on
            with _blamed(1):
                before = cheap.call(batch.inputs).output
                changes = [looked_ahead(before, cheap.call(inputs).output, position) for inputs in exchanged]
            self.evidence.causal_checks += 1
            if all(change is not None for change in changes):
                words = f"outputs before position {position} of held-out batch {chosen} change with what comes after it"
                witness = {"batch": chosen, "position": position, "changes": changes}
                raise Rejected(Finding("looks-ahead", Weight.FATAL, words, Fault.CANDIDATE, witness))

    def _training(self) -> None:
        """Training steps in processes of their own, which get targets too and answer nothing else."""
        if not self._data.trains:
            self.evidence.absent[Cost.TRAINING] = "the data file has no loss and make_optimizer"
            return
        claimed = Cost.TRAINING in self._settings.costs
        try:
            specs_of(batch.targets for batch in self._data.batches)
        except ValueError as error:
            self.evidence.absent[Cost.TRAINING] = f"targets cannot cross to a process: {error}"
            return
        try:
            for number in range(self._settings.rounds):
                self._training_round(number)
        except (Rejected, InputError) as error:
            if claimed:
                raise
            self.evidence.absent[Cost.TRAINING] = f"a training step fails: {error.value or error.what}"[:300]

    def _training_round(self, number: int) -> None:
        with self._pair(self._seeds[number % len(self._seeds)], self._data.text) as pair:
            for turn in range(-_FEWEST_WARM_UP, self._settings.turns):
                batch = self._data.batches[self._secret.below(len(self._data.batches))]
                answers = self._turn(pair, (*batch.inputs, batch.targets), Cost.TRAINING, number, turn)
                for side, answer in enumerate(answers):
                    if not answer.output.isfinite().all():
                        self._not_finite(side, "a training step's loss is not finite", 0)
                self._progress(
                    "timing training steps", (number + max(turn, 0) / self._settings.turns) / self._settings.rounds
                )

    def _warm_up(self, pair: Pair, inputs: tuple[Tensor, ...]) -> None:
        started = time.monotonic()
        for count in range(_WARM_UP_CALLS):
            self._turn(pair, inputs, Cost.THROUGHPUT, 0, -1)
            if count + 1 >= _FEWEST_WARM_UP and time.monotonic() - started > _WARM_UP_S:
                return

    @contextlib.contextmanager
    def _pair(self, seed: int | None, training: str | None) -> Iterator[Pair]:
        """Fresh processes of both, in secret order: which memory a process gets first decides some of its time."""
        processes: dict[int, ModelProcess] = {}
        try:
            for side in self._secret.shuffled(2):
                payload = {"folder": str(self._room.folders[side].path), "seed": seed, "training": training,
                           "threads": self._settings.threads}  # fmt: skip
                with _blamed(side):
                    processes[side] = ModelProcess(self._room.zygotes[side], payload, self._inputs,
                                                   self._room.memory_bytes, self._settings.call_timeout_s)  # fmt: skip
            yield processes[0], processes[1]
        finally:
            for process in processes.values():
                process.close()


@contextlib.contextmanager
def _blamed(side: int) -> Iterator[None]:
    """Whose failure it is: the dense model's leaves nothing to compare with, the cheap one's rejects."""
    try:
        yield
    except ModelFailed as error:
        if side == 1:
            raise Rejected(Finding(error.code, Weight.FATAL, error.what, Fault.CANDIDATE)) from error
        raise InputError(f"the {SIDES[side]} model fails", value=error.what[:600],
                         rule="both models load and answer every held-out batch") from error  # fmt: skip


def _room_for(all_tensors: tuple[Tensor, ...], inputs: tuple[Tensor, ...]) -> int:
    """Bytes of a batch in the shared block; targets of a type that cannot cross take none."""
    try:
        return Placement.pack(specs_of(all_tensors)).total_bytes
    except ValueError:
        return Placement.pack(specs_of(inputs)).total_bytes
