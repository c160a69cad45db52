"""The measuring loop: rounds of fresh processes, interleaved turns, and every output of the candidate verified.

A turn on the task's own distribution times both baselines and the candidate on one fresh input, in secret order, and
between them kernels that do nothing, which tell what the shell costs. Among those turns, at secret places, the
candidate alone gets inputs of other families, the same input twice, and other shapes: it is called alike, and cannot
tell which of its calls count for time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from assay.core.verdicts import Finding, Weight
from assay.errors import Fault
from assay.referee.agenda import Agenda, Kind, Turn
from assay.referee.bench import Bench, Landing, Progress
from assay.referee.correctness import families
from assay.referee.protocol.clock import Call
from assay.referee.protocol.layout import Layout
from assay.referee.protocol.oracle_client import Array, Draw
from assay.referee.protocol.party import Party, Program
from assay.referee.protocol.predecessor import Predecessor
from assay.referee.protocol.settling import settle
from assay.referee.protocol.shell_cost import NullCalls
from assay.referee.timing.pairing import Overhead
from assay.referee.timing.samples import Sample, Side

_WEIGHTS_CHANGE = 0.25
"""Chance that a turn of a task with live weights begins with new parameters."""

_SHAPE_FAMILIES = 2
"""Families tried with another shape, besides the task's own inputs."""


@dataclass(slots=True)
class Evidence:
    """What a measurement brought: raw samples, how many outputs were verified, and what ended it early."""

    samples: list[Sample] = field(default_factory=list)
    verified_calls: int = 0
    families_tried: set[str] = field(default_factory=set)
    shapes_tried: list[dict[str, int]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    layers: tuple[str, ...] = ()
    overhead: Overhead | None = None
    """The shell's cost per timed window; None where too few windows were timed."""
    spawn_ms: float | None = None
    outside_ns: float | None = None
    """What a null call took beside the device's own clock; None where no null call was timed."""
    remark: str = ""
    """What the candidate's worker said of itself when it had loaded."""

    @property
    def failed(self) -> bool:
        """Whether a finding already rejects."""
        return any(finding.weight is Weight.FATAL for finding in self.findings)


class Measurement:
    """Rounds of one candidate against one baseline. `run` may be called once."""

    def __init__(
        self,
        bench: Bench,
        baseline: Program,
        candidate: Program,
        nulls: Sequence[Program],
        window_ns: float,
        call_timeout_s: float = 10.0,
    ) -> None:
        """`nulls` is from `null_programs`; `window_ns` is about what a timed window takes the baseline."""
        self._bench, self._baseline, self._candidate, self._nulls = bench, baseline, candidate, nulls
        self.call_timeout_s = call_timeout_s
        self._window_ns = window_ns
        self.evidence = Evidence()
        self.agenda = Agenda(bench, sealed_late=candidate.sealed_late)

    def run(self, rounds: int, turns: int, warm_up: int, progress: Progress) -> Evidence:
        """Measure; stops early only where the candidate has already failed."""
        self._bench.fresh_weights()  # for the predecessor, which keeps those that it was loaded with
        with (
            NullCalls(self._bench, self._nulls, rounds * turns) as nulls,
            Predecessor(self._bench, self._baseline, self._window_ns, self.call_timeout_s) as self._predecessor,
        ):
            for number, agenda in enumerate(self.agenda.rounds(rounds, turns, warm_up)):
                self._round(number, agenda, nulls, lambda share, n=number: progress("measuring", (n + share) / rounds))
                if self.evidence.failed:
                    break
            self.evidence.overhead, self.evidence.spawn_ms = nulls.overhead(), nulls.spawn_ms
            self.evidence.outside_ns = nulls.outside_ns()
        return self.evidence

    def _round(self, number: int, agenda: Sequence[Turn], nulls: NullCalls, progress: object) -> None:
        bench = self._bench
        bench.fresh_weights()
        parties: dict[Side, Party] = {}
        try:
            # In secret order too: which memory a process gets first decides some percent of a small kernel's time.
            for side in self._shuffled_sides():
                program = self._candidate if side is Side.CANDIDATE else self._baseline
                parties[side] = bench.party(program)
                if not self._usable(side, parties[side]):
                    return
                parties[side].lay_out(bench.windowed)
                if not self._usable(side, parties[side]):
                    return
            self.evidence.layers = parties[Side.CANDIDATE].child.layers
            self.evidence.remark = parties[Side.CANDIDATE].remark
            if not all(self._settled(side, party) for side, party in parties.items()):
                return
            for index, turn in enumerate(agenda):
                if turn.kind is Kind.TIMED:
                    fit = self._timed_turn(number, index, turn, parties, nulls)
                else:
                    fit = self._hidden_turn(turn, parties)
                if not fit:
                    return
                if callable(progress):
                    progress((index + 1) / len(agenda))
        finally:
            for party in parties.values():
                party.close()

    def _hidden_turn(self, turn: Turn, parties: dict[Side, Party]) -> bool:
        candidate = parties[Side.CANDIDATE]
        if turn.kind is Kind.SEAL:
            candidate.seal()
            return self._usable(Side.CANDIDATE, candidate)
        if turn.kind is Kind.SHAPE and turn.layout is not None:
            return self._shape_turn(turn.layout, candidate)
        if not self._to_single_calls(candidate):
            return False
        draw = self._bench.draw(self._bench.timed, turn.family, weights=self._weights())
        self.evidence.families_tried.add(turn.family)
        first = self._verified_call(candidate, draw)
        if first is None or not self._accompanied(draw, parties):
            return False
        if turn.kind is Kind.REPEAT and not self._repeated(parties, draw, [output.copy() for output in first]):
            return False
        if turn.kind is Kind.CHANGE and not self._changed(parties, draw):
            return False
        return self._to_windows(candidate)

    def _accompanied(self, draw: Draw, parties: dict[Side, Party]) -> bool:
        """The baselines called as the candidate just was, for nothing: called alone, it was 1-2 % warmer than they."""
        if self._bench.windowed.chain > 1:
            return True  # those small inputs are in every cache anyway
        for side in self._shuffled_sides():
            if side is not Side.CANDIDATE:
                self._land(Landing.of(draw))
                parties[side].call(draw.run_seed, self.call_timeout_s)
                if not self._usable(side, parties[side]):
                    return False
        return True

    def _to_single_calls(self, candidate: Party) -> bool:
        """Hidden turns are single calls on read-only inputs, also where the timed ones are chains."""
        bench = self._bench
        if bench.windowed.chain > 1:
            candidate.lay_out(bench.timed)
        return self._usable(Side.CANDIDATE, candidate)

    def _to_windows(self, candidate: Party) -> bool:
        bench = self._bench
        if bench.windowed.chain > 1:
            candidate.lay_out(bench.windowed)
        return self._usable(Side.CANDIDATE, candidate)

    def _settled(self, side: Side, party: Party) -> bool:
        """Calls until a fresh process takes no new memory; the candidate's outputs are right there too."""
        landing = self._bench.draw_window()
        self._bench.land(landing)
        right: list[Array] = []
        for _, outputs in settle(party, landing.run_seed, self.call_timeout_s):
            if not self._usable(side, party):
                return False
            if side is not Side.CANDIDATE or outputs is None:
                continue
            if right and _same_bits(right, outputs):
                self.evidence.verified_calls += len(landing.inputs)
            elif not self._verify_window(outputs, landing):
                return False
            else:
                right = [output.copy() for output in outputs]
        return True

    def _timed_turn(self, number: int, index: int, turn: Turn, parties: dict[Side, Party], nulls: NullCalls) -> bool:
        bench = self._bench
        landing = bench.draw_window(weights=self._weights())
        calls: dict[Side, Call] = {}
        early = self._early_null_call(nulls)
        if early:
            self._land(landing)
            nulls.call(0, landing.run_seed, counts=not turn.warm_up)
        for side in self._shuffled_sides():
            self._land(landing)
            calls[side] = parties[side].run(landing.run_seed, self.call_timeout_s)
        for null in range(int(early), nulls.each_turn):
            self._land(landing)
            nulls.call(null, landing.run_seed, counts=not turn.warm_up)
        for side in self._shuffled_sides():  # only now: comparing between the calls would cool whoever comes next
            outputs = parties[side].collect(calls[side])
            if not self._usable(side, parties[side]):
                return False
            if side is Side.CANDIDATE and outputs is not None and not self._verify_window(outputs, landing):
                return False
        # A turn counts whole or not at all.
        self.evidence.samples += [_sample(number, index, side, call, turn.warm_up) for side, call in calls.items()]
        return True

    def _land(self, landing: Landing) -> None:
        """Inputs in their place, after the same process for every call that counts or looks as if it did."""
        self._predecessor.run()
        self._bench.land(landing)

    def _early_null_call(self, nulls: NullCalls) -> bool:
        """Whether a null call comes before the sides: as often as each of a turn's calls would be first by chance.

        The first call after a draw is colder by some 10 us. The others come after the sides and never between them:
        there they made the same kernel differ from itself by a third more, since its two calls lay further apart.
        """
        return self._bench.secret.below(len(Side) + nulls.each_turn) < nulls.each_turn

    def _verify_window(self, outputs: Sequence[Array], landing: Landing) -> bool:
        if landing.draw is not None:
            return self._verify(outputs, landing.draw)
        self.evidence.verified_calls += len(landing.inputs)
        witness = self._bench.judge_chain([output.copy() for output in outputs], landing.inputs)
        if witness is None:
            return True
        message = f"wrong in a chain of {len(landing.inputs)} calls: {witness.describe()}"
        self.evidence.findings.append(Finding("wrong-result", Weight.FATAL, message, Fault.CANDIDATE))
        return False

    def _verified_call(self, party: Party, draw: Draw) -> tuple[Array, ...] | None:
        """One call of the candidate that is checked but not compared in time; None where it failed."""
        self._land(Landing.of(draw))
        _, outputs = party.call(draw.run_seed, self.call_timeout_s)
        if not self._usable(Side.CANDIDATE, party) or outputs is None or not self._verify(outputs, draw):
            return None
        return outputs

    def _changed(self, parties: dict[Side, Party], draw: Draw) -> bool:
        """The same input but for a few elements that changed places: what looks for changes is likely to miss them."""
        changed = self._bench.changed(draw)
        if changed is None:
            return True
        outputs = self._verified_call(parties[Side.CANDIDATE], changed)
        return outputs is not None and self._accompanied(changed, parties)

    def _repeated(self, parties: dict[Side, Party], draw: Draw, first: Sequence[Array]) -> bool:
        """The same input once more must give the same bits, unless the task declares otherwise."""
        second = self._verified_call(parties[Side.CANDIDATE], draw)
        if second is None or not self._accompanied(draw, parties):
            return False
        if _same_bits(first, second):
            return True
        declared = bool(self._bench.declaration.declared.get("deterministic", True))
        weight = Weight.FATAL if declared else Weight.NOTE
        message = "the same input twice gave different bits"
        finding = Finding("nondeterministic", weight, message, Fault.CANDIDATE, self._replay(draw))
        self.evidence.findings.append(finding)
        return not declared

    def _shape_turn(self, layout: Layout, candidate: Party) -> bool:
        """Another shape on several families, then back to the timed one."""
        bench = self._bench
        candidate.lay_out(layout)
        if not self._usable(Side.CANDIDATE, candidate):
            return False
        self.evidence.shapes_tried.append(dict(layout.axes))
        others = [bench.families[i] for i in bench.secret.shuffled(len(bench.families))[:_SHAPE_FAMILIES]]
        for family in (families.OWN, *others):
            if self._verified_call(candidate, bench.draw(layout, family, weights=self._weights())) is None:
                return False
        candidate.lay_out(bench.timed)
        if not self._usable(Side.CANDIDATE, candidate):
            return False
        if self._verified_call(candidate, bench.draw(bench.timed, families.OWN)) is None:
            return False
        return self._to_windows(candidate)

    def _shuffled_sides(self) -> list[Side]:
        return [Side(position) for position in self._bench.secret.shuffled(len(Side))]

    def _weights(self) -> str:
        declaration = self._bench.declaration
        live = declaration.parameters and not declaration.frozen
        return "parameters" if live and self._bench.secret.chance(_WEIGHTS_CHANGE) else "keep"

    def _verify(self, outputs: Sequence[Array], draw: Draw) -> bool:
        self.evidence.verified_calls += 1
        witness = self._bench.judge_outputs(outputs, draw)
        if witness is None:
            return True
        data = self._replay(draw) | {
            "output": witness.output,
            "kind": witness.kind,
            "where": list(witness.where),
            "error_units": _finite(witness.error_units),
            "budget_units": witness.budget_units,
        }
        inputs = f"on family {draw.family!r}" if draw.seed else "once a few elements had changed places"
        message = f"wrong {inputs} at {_axes(draw)}: {witness.describe()}"
        self.evidence.findings.append(Finding("wrong-result", Weight.FATAL, message, Fault.CANDIDATE, data))
        return False

    def _replay(self, draw: Draw) -> dict[str, object]:
        """What repeats a draw; see witness.py. A seed of 0 marks inputs that were made of another draw's."""
        own = {"seed": draw.seed, "run_seed": draw.run_seed, "construction_seed": self._bench.oracle.construction_seed}
        texts: dict[str, object] = {name: str(seed) for name, seed in own.items()}
        weights = [str(seed) for seed in draw.weights_seeds]
        return {"family": draw.family, "axes": dict(draw.layout.axes), **texts, "weights_seeds": weights}

    def _usable(self, side: Side, party: Party) -> bool:
        if party.problem is None:
            return True
        finding = party.problem
        if side is not Side.CANDIDATE:
            finding = Finding("baseline-failed", Weight.DOUBT, f"the baseline failed: {finding.message}", Fault.TASK,
                              finding.data)  # fmt: skip
        self.evidence.findings.append(finding)
        return False


def _sample(number: int, index: int, side: Side, call: Call, warm_up: bool) -> Sample:
    return Sample(number, index, side, call.wall_ns, call.cpu_ns, call.delayed_ns, warm_up, call.device_ns)


def _same_bits(first: Sequence[Array], second: Sequence[Array]) -> bool:
    pairs = zip(map(np.ascontiguousarray, first), map(np.ascontiguousarray, second), strict=True)
    return all(np.array_equal(a.reshape(-1).view(np.uint8), b.reshape(-1).view(np.uint8)) for a, b in pairs)


def _axes(draw: Draw) -> str:
    return ", ".join(f"{name}={size}" for name, size in draw.layout.axes.items()) or "its only size"


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
