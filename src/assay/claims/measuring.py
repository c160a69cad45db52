"""Rounds of fresh processes of both models: held-out data, timed calls, memory, and a look at what depends on what.

The first rounds, one for each seed, go through all held-out data: what is scored for quality is what is timed. Every
other timed call is scored as well, and compared with the first answer on that example, so that a model cannot be fast
in one kind of call and good in another. No process is timed on an input that it has seen before, so that remembering
answers brings nothing: single examples come first, then batches; the one that warmed up is scored and not timed.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from assay.claims.causality import continued, looked_ahead
from assay.claims.courtroom import Courtroom
from assay.claims.evidence import Evidence
from assay.claims.held_out import Batch, HeldOut, all_finite, has_nan, specs_of
from assay.claims.party import Answer, ModelProcess
from assay.claims.settings import ClaimSettings, Cost
from assay.claims.turns import FEWEST_WARM_UP, Pair, Rejected, Turns, blamed, not_finite
from assay.core.tensors import Placement
from assay.core.verdicts import Finding, Weight
from assay.errors import Fault, InputError
from assay.referee.protocol.memory import Block
from assay.referee.protocol.secret import Secret

Progress = Callable[[str, float], None]
Single = tuple[int, float]
"""An example's number, and the cheap model's loss when it answered that example alone."""

CAUSAL_CHECKS = 3
"""For each seed: a model that looks ahead does so everywhere."""


class Measurement:
    """One judgement's measuring. `run` may be called once."""

    def __init__(
        self, room: Courtroom, data: HeldOut, settings: ClaimSettings, secret: Secret, progress: Progress
    ) -> None:
        self._room, self._data, self._settings = room, data, settings
        self._secret, self._progress = secret, progress
        self._rounds = max(settings.rounds, len(room.seeds))
        self._starts = [sum(batch.examples for batch in data.batches[:number]) for number in range(len(data.batches))]
        self.evidence = Evidence(batch=[number for number, batch in enumerate(data.batches)
                                        for _ in range(batch.examples)])  # fmt: skip

    def run(self) -> Evidence:
        """Measure. Raises InputError for what makes the two incomparable: a dense model that fails, other shapes."""
        evidence = self.evidence
        for seed in self._room.seeds:
            sizes = [folder.weights(seed).stat().st_size for folder in self._room.folders]
            evidence.samples.sizes.append((sizes[0], sizes[1]))
        block = Block(max(map(_room_for, self._data.batches)), read_only_elsewhere=True, name="assay-sealed-inputs")
        try:
            with Turns(self._room, self._settings, self._secret, block, evidence.samples) as self._turns:
                for number in range(self._rounds):
                    self._round(number)
                self._training()
        except Rejected as stop:
            evidence.findings.append(stop.finding)
        finally:
            block.close()
        return evidence

    def _round(self, number: int) -> None:
        first, index = number < len(self._room.seeds), number % len(self._room.seeds)
        order = self._secret.shuffled(len(self._data.batches))
        warm = self._data.batches[order[0]]
        with self._turns.pair(self._room.seeds[index]) as pair:
            self.evidence.layers = pair[1].layers
            self._turns.warm_up(pair, warm.inputs)
            singles = self._latency(pair, order, number)
            self._begin_peaks(pair)
            self._batches(pair, order if first else order[: self._settings.turns + 1], number, index, first)
            self._end_peaks(pair)
            known = self.evidence.losses[1][index]
            self.evidence.again += [loss - known[place] for place, loss in singles]
            if first and self._data.causal:
                self._causality(pair[1])
            if number == 0:
                self._turns.turn(pair, warm.inputs, Cost.THROUGHPUT, 0, -1)
                self.evidence.operations = [process.count_operations() for process in pair]

    def _latency(self, pair: Pair, order: list[int], number: int) -> list[Single]:
        """Single examples, after a few that do not count: shapes are new to the allocator."""
        found: list[Single] = []
        for turn in range(-FEWEST_WARM_UP, self._settings.turns):
            others = order[1:] if turn >= 0 and len(order) > 1 else order[:1]
            chosen = others[self._secret.below(len(others))]
            place = self._secret.below(self._data.batches[chosen].examples)
            one, example = self._data.batches[chosen].one(place), self._starts[chosen] + place
            is_new = example not in (seen for seen, _ in found)
            answers = self._turns.turn(pair, one.inputs, Cost.LATENCY, number, turn if is_new else -1)
            self._check_outputs(answers, chosen)
            found.append((example, self._losses(1, answers[1].output, one, chosen)[0]))
        return found

    def _batches(self, pair: Pair, order: list[int], number: int, index: int, first: bool) -> None:
        """Batches once each, the first of them not timed; in a seed's first round their losses are its quality."""
        found: tuple[dict[int, list[float]], dict[int, list[float]]] = ({}, {})
        for turn, chosen in enumerate(order, -1):
            batch = self._data.batches[chosen]
            answers = self._turns.turn(pair, batch.inputs, Cost.THROUGHPUT, number, turn)
            self._check_outputs(answers, chosen)
            for side in (0, 1) if first else (1,):
                found[side][chosen] = self._losses(side, answers[side].output, batch, chosen)
            self._progress("measuring", (number + (turn + 2) / len(order)) / self._rounds)
        if first:
            for side in (0, 1):
                self.evidence.losses[side].append([loss for chosen in sorted(order) for loss in found[side][chosen]])
            return
        for chosen, losses in found[1].items():
            known = self.evidence.losses[1][index][self._starts[chosen] :]
            self.evidence.again += [now - then for now, then in zip(losses, known, strict=False)]

    def _begin_peaks(self, pair: Pair) -> None:
        for side in (0, 1):
            with blamed(side):
                if not pair[side].begin_peak():
                    why = "this system does not let a process's peak begin anew (clear_refs)"
                    self.evidence.absent[Cost.MEMORY] = why

    def _end_peaks(self, pair: Pair) -> None:
        if Cost.MEMORY not in self.evidence.absent:
            self.evidence.samples.peaks.append((pair[0].peak_bytes(), pair[1].peak_bytes()))

    def _losses(self, side: int, output: Tensor, batch: Batch, chosen: int) -> list[float]:
        found = self._data.losses(output, batch)
        if not all_finite(found):
            raise not_finite(side, f"a loss on held-out batch {chosen} is not finite")
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
                raise not_finite(side, f"an output on held-out batch {chosen} is NaN")

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
            with blamed(1):
                before = cheap.call(batch.inputs).output
                changes = [looked_ahead(before, cheap.call(inputs).output, position) for inputs in exchanged]
            self.evidence.causal_checks += 1
            if all(change is not None for change in changes):
                words = f"outputs before position {position} of held-out batch {chosen} change with what comes after it"
                witness = {"batch": chosen, "position": position, "changes": changes}
                raise Rejected(Finding("looks-ahead", Weight.FATAL, words, Fault.CANDIDATE, witness))

    def _training(self) -> None:
        """Training steps in processes of their own, which get targets too and answer nothing else."""
        absent = self.evidence.absent
        if not self._data.trains:
            absent[Cost.TRAINING] = "the data file has no loss and make_optimizer"
            return
        try:
            specs_of(batch.targets for batch in self._data.batches)
        except ValueError as error:
            absent[Cost.TRAINING] = f"targets cannot cross to a process: {error}"
            return
        try:
            for number in range(self._settings.rounds):
                self._training_round(number)
        except (Rejected, InputError) as error:
            if Cost.TRAINING in self._settings.costs:
                raise
            absent[Cost.TRAINING] = f"a training step fails: {error.value or error.what}"[:300]

    def _training_round(self, number: int) -> None:
        rounds, turns, batches = self._settings.rounds, self._settings.turns, self._data.batches
        with self._turns.pair(self._room.seeds[number % len(self._room.seeds)], self._data.text) as pair:
            for turn in range(-FEWEST_WARM_UP, turns):
                batch = batches[self._secret.below(len(batches))]
                answers = self._turns.turn(pair, (*batch.inputs, batch.targets), Cost.TRAINING, number, turn)
                for side, answer in enumerate(answers):
                    if not answer.output.isfinite().all():
                        raise not_finite(side, "a training step's loss is not finite")
                self._progress("timing training steps", (number + max(turn, 0) / turns) / rounds)


def _room_for(batch: Batch) -> int:
    """Bytes of a batch in the shared block; targets of a type that cannot cross take none."""
    try:
        return Placement.pack(specs_of((*batch.inputs, batch.targets))).total_bytes
    except ValueError:
        return Placement.pack(specs_of(batch.inputs)).total_bytes
