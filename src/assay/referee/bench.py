"""One judgement's trusted side: sandbox, oracle, shared inputs, secrets and the error budget, held together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from assay.core.config import Depth, JudgeConfig
from assay.core.sources import Candidate, Task
from assay.core.tensors import Placement, TensorSpec
from assay.errors import InputError, TaskError
from assay.launch.plan import plan_text
from assay.machine.facts import MachineFacts
from assay.referee.appeal import appeal
from assay.referee.correctness import families
from assay.referee.correctness.boundary import Shape, boundary_shapes, choose
from assay.referee.correctness.budget import Budget, Witness
from assay.referee.gpu import GpuRuntime
from assay.referee.protocol import chain
from assay.referee.protocol.layout import Layout
from assay.referee.protocol.memory import Bytes, Poison
from assay.referee.protocol.oracle_client import Array, Declaration, Draw, Oracle
from assay.referee.protocol.party import Party, Program, SharedInputs
from assay.referee.protocol.secret import Secret
from assay.referee.zygotes import Zygotes

Progress = Callable[[str, float], None]
"""Called with what is being done and the share of it that is done, 0 to 1."""

_MEMORY_SHARE = 0.5
_FALLBACK_MEMORY = 8 << 30
_HIDDEN_SHAPES = {Depth.FULL: 14, Depth.SCREEN: 2}
_POOL = {Depth.FULL: 24, Depth.SCREEN: 4}
"""Hidden shapes are chosen from a pool, anew for every judgement: a search in one bench must not come to know them."""
_IMAGINED_SHAPES = 32
"""What a pool is chosen from."""
_CACHES_COOLED, _FALLBACK_CACHE = 4, 2 << 20
"""How many times a core's own cache is run through before a call: 8 MB, about 1 ms."""
_SWAPS = 8
"""Pairs of elements that change places between two calls that are otherwise alike: few rows change, and those seldom
where a shortcut would look."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What every process of a run is granted."""

    threads: int
    memory_bytes: int
    cache_bytes: int | None = None
    """Of a core's own largest cache; None where that is not known."""

    @classmethod
    def of(cls, config: JudgeConfig, facts: MachineFacts) -> Resources:
        """The configured grants, with the machine's own where none are configured."""
        threads = config.threads or facts.cores
        if threads > facts.cores:
            raise InputError("more threads than usable cores", value=str(threads), rule=f"at most {facts.cores} here")
        memory = config.memory_bytes or int((facts.memory_total_bytes or _FALLBACK_MEMORY) * _MEMORY_SHARE)
        own_caches = [cache.size_bytes for cache in facts.caches or () if cache.shared_by == 1 and cache.level <= 2]
        return cls(threads, memory, max(own_caches, default=None))


@dataclass(frozen=True, slots=True)
class Landing:
    """The secret inputs of one timed window: of one call, with what it should give, or of each call of a chain."""

    inputs: tuple[Bytes, ...]
    draw: Draw | None

    @classmethod
    def of(cls, draw: Draw) -> Landing:
        """A window of one call."""
        return cls((draw.inputs,), draw)

    @property
    def run_seed(self) -> int:
        """The generator's seed, 0 to leave it alone."""
        return self.draw.run_seed if self.draw is not None else 0


class Bench:
    """Everything a judgement needs before a candidate comes in. A context manager.

    Raises TaskError where the task cannot serve as a reference on this machine.
    """

    def __init__(
        self, task: Task, config: JudgeConfig, resources: Resources, zygotes: Zygotes, secret: Secret,
        construction_seed: int | None = None, gpu: GpuRuntime | None = None,
    ) -> None:  # fmt: skip
        """`gpu` is where both sides run; None for this machine's processor."""
        self.gpu = gpu
        self.task, self.config, self.resources, self.secret = task, config, resources, secret
        self.depth = config.depth
        """Of the present judgement: a bench made for full ones serves screenings too."""
        self._zygotes = zygotes
        self.poison = Poison()
        self._cooling = np.zeros(_CACHES_COOLED * (resources.cache_bytes or _FALLBACK_CACHE), np.uint8)
        memory = resources.memory_bytes
        self.oracle = Oracle(
            zygotes.plain, task, secret, threads=resources.threads, memory_bytes=memory,
            construction_seed=construction_seed or secret.seed(),
        )  # fmt: skip
        self.shared: SharedInputs | None = None
        try:
            self.declaration: Declaration = self.oracle.declare()
            self.timed: Layout = self.oracle.describe(self._timed_axes())
            self.windowed = self.timed
            self._refuse_unusable()
            self._pool = self._hidden_layouts()
            self.hidden = [layout for _, layout in self._pool]
            layouts = (self.timed, *self.hidden)
            self.oracle.allocate(layouts, self.declaration.weights)
            room = chain.LONGEST if self.may_chain else 1
            self.shared = SharedInputs.allocate(
                max(self.timed.inputs.total_bytes * room, *(layout.inputs.total_bytes for layout in layouts)),
                Placement.pack(self.declaration.weights).total_bytes,
            )
            outputs = (layout.guarded.total_bytes for layout in layouts)
            self._output_bytes = max(self.timed.guarded.total_bytes * room, *outputs)
        except BaseException:
            self.close()
            raise
        self.budget = Budget(float(self.declaration.declared.get("error_factor", 1.0)))
        self.families: tuple[str, ...] = (families.OWN,)
        self.dropped_families: dict[str, str] = {}
        self.ill_conditioned = ""
        """Why the task's own inputs decide nothing; empty where they do."""
        self.undecided_calls = 0

    def _timed_axes(self) -> dict[str, int]:
        workloads = self.declaration.declared.get("workloads") or [{}]
        return {**self.declaration.axes, **workloads[0]}

    def _refuse_unusable(self) -> None:
        if self.timed.mutates:
            raise TaskError(
                "the reference changes its own inputs",
                value=", ".join(self.timed.mutates),
                rule="inputs are read-only, for both sides",
                next_step="clone the input inside forward",
            )
        need = self.timed.inputs.total_bytes * 3 + self.timed.wide_bytes * 4
        if need > self.resources.memory_bytes:
            raise TaskError(
                "the task is too large for this machine",
                value=f"{need >> 20} MiB of inputs, outputs and float64 copies",
                rule=f"{self.resources.memory_bytes >> 20} MiB are granted",
                next_step="use smaller axes or the scaled profile",
            )

    @property
    def may_chain(self) -> bool:
        """Whether a timed window may hold several calls."""
        if self.gpu is not None:
            return False  # a device's own clock starts and stops beside the kernels, and needs no chain
        small = self.timed.inputs.total_bytes <= chain.MOST_BYTES and not self.timed.draws_random
        return small and bool(self.timed.rolled)

    def set_chain(self, net_ns: float) -> None:
        """Choose how many calls one timed window holds, from the time of one of them."""
        timed = self.timed
        length = chain.length(net_ns, timed.inputs.total_bytes, timed.rolled) if self.may_chain else 1
        self.windowed = replace(timed, chain=length)

    def draw_window(self, *, weights: str = "keep") -> Landing:
        """The secret inputs of one timed window, landed nowhere yet."""
        if self.windowed.chain == 1:
            draw = self.draw(self.timed, families.OWN, weights=weights)
            return Landing.of(draw)
        if weights != "keep":
            self.fresh_weights(weights)
        drawn = (self.draw(self.timed, families.OWN).inputs.copy() for _ in range(self.windowed.chain))
        return Landing(tuple(drawn), None)

    def land(self, landing: Landing) -> None:
        """Write inputs where the parties see them, before each party's call, into caches that hold nothing else of use.

        So every call finds its inputs as somebody who just made them would have left them, and all else cold.
        """
        assert self.shared is not None
        self._cooling += 1
        for step, one in enumerate(landing.inputs):
            self.shared.inputs.bytes[step * len(one) : (step + 1) * len(one)] = one

    def changed(self, draw: Draw) -> Draw | None:
        """The same inputs but for a few elements that have changed places; None where no input allows that."""
        layout = draw.layout
        if not layout.rolled or layout.draws_random:
            return None
        inputs = draw.inputs.copy()
        for index in layout.rolled:
            spec, offset = layout.inputs.specs[index], layout.inputs.offsets[index]
            elements = inputs[offset : offset + spec.span_bytes].reshape(-1, spec.dtype.size_bytes)
            for _ in range(_SWAPS):
                a, b = self.secret.below(len(elements)), self.secret.below(len(elements))
                elements[[a, b]] = elements[[b, a]]
        return self.oracle.evaluate(layout, inputs)

    def judge_chain(self, outputs: Sequence[Array], inputs: Sequence[Bytes]) -> Witness | None:
        """Whether every call of a chain is right, each on the input that the output before it decides."""
        per_call = len(self.timed.outputs)
        number = 0
        for step, secret_inputs in enumerate(inputs):
            mine = outputs[step * per_call : (step + 1) * per_call]
            own = self._linked(secret_inputs, number) if step else secret_inputs
            witness = self.judge_outputs(mine, self.oracle.evaluate(self.timed, own))
            if witness is not None:
                return witness
            number = chain.fold([_span(o, s) for o, s in zip(mine, self.timed.outputs, strict=True)])
        return None

    def _linked(self, secret_inputs: Bytes, number: int) -> Bytes:
        """What the worker had to make of a call's secret inputs."""
        own = secret_inputs.copy()
        for index in self.timed.rolled:
            spec, offset = self.timed.inputs.specs[index], self.timed.inputs.offsets[index]
            place = slice(offset, offset + spec.span_bytes)
            chain.roll(secret_inputs[place], own[place], spec.dtype.size_bytes, number)
        return own

    def _hidden_layouts(self) -> list[tuple[str, Layout]]:
        """The pool of hidden shapes, each with its kind."""
        declared = self.declaration.declared
        workloads = [Shape(f"workload {i}", self.declaration.axes | w)
                     for i, w in enumerate(declared.get("workloads") or [])]  # fmt: skip
        imagined = boundary_shapes(declared, _IMAGINED_SHAPES, self.secret)
        order = choose([shape.kind for shape in imagined], _POOL[self.config.depth], self.secret)
        wanted = [*workloads, *(imagined[i] for i in order)]
        described = [(s.kind, self.oracle.describe(s.axes)) for s in wanted if s.axes != dict(self.timed.axes)]
        return [(kind, layout) for kind, layout in described if layout.outputs]

    def renew(self, depth: Depth) -> None:
        """New secrets and another choice of hidden shapes, for the next candidate."""
        self.depth = depth
        self.secret.renew()
        self.undecided_calls = 0
        order = choose([kind for kind, _ in self._pool], _HIDDEN_SHAPES[depth], self.secret)
        self.hidden = [self._pool[i][1] for i in order]

    def calibrate(self, progress: Progress) -> None:
        """Learn what each family's rounding costs; leave out the families that the reference does not define."""
        floating = [s.name for s in self.timed.inputs.specs if s.dtype.is_floating]
        named = self.declaration.declared.get("domains", {})
        domains = {str(named.get(name, "real")) for name in floating}
        kept = []
        candidates = families.names(domains)
        if self.declaration.declared.get("linear") is not True and "integers" in candidates:
            candidates.remove("integers")
        for index, family in enumerate(candidates):
            progress("calibrating the error budget", index / len(candidates))
            draw = self.oracle.draw(self.timed, family, weights="all", want=("expected", "reference", "nearby"))
            why = _undefined(draw) or ("" if self.budget.decides(draw) else "the reference's own rounding is too large")
            if why and family != families.OWN:
                self.dropped_families[family] = why
                continue
            self.ill_conditioned = self.ill_conditioned or why
            self.budget.calibrate(draw)
            kept.append(family)
        self.families = tuple(kept)

    def party(self, program: Program) -> Party:
        """A fresh worker that has loaded `program` and stands stopped; look at its `problem` first."""
        assert self.shared is not None
        return Party(
            self._zygotes.for_program(program), program, self.shared, self._output_bytes,
            memory_bytes=self.resources.memory_bytes, poison=self.poison,
        )  # fmt: skip

    def prepare_for(self, program: Program) -> None:
        """Have the zygote of a program's workers ready, so that the first of them takes no longer than others."""
        self._zygotes.for_program(program).wait_ready()

    def fresh_weights(self, which: str = "all") -> None:
        """New weights for every party; "all" before parties load, "parameters" also between calls."""
        if self.declaration.weights:
            self.oracle.draw(self.timed, families.OWN, weights=which, want=())
            self._land_weights()

    def repeat_draw(self, family: str, seeds: tuple[int, int], weights_seeds: tuple[int, int]) -> Draw:
        """An earlier draw at the timed sizes, with the weights that it had: `seeds` are those of inputs and run."""
        for which, seed in zip(("all", "parameters"), weights_seeds, strict=True):
            if seed and self.declaration.weights:
                self.oracle.draw(self.timed, families.OWN, weights=which, want=(), seeds=(seed, seed, seed))
        self._land_weights()
        want = ("expected", "reference", "nearby")
        return self.oracle.draw(self.timed, family, want=want, seeds=(*seeds, 0))

    def _land_weights(self) -> None:
        assert self.shared is not None
        weights = self.oracle.weights
        self.shared.weights.bytes[: len(weights)] = weights

    def draw(self, layout: Layout, family: str, *, weights: str = "keep") -> Draw:
        """Fresh inputs; where the weights change, they land at once, for every party is stopped."""
        draw = self.oracle.draw(layout, family, weights=weights)
        if weights != "keep" and self.declaration.weights:
            self._land_weights()
        return draw

    def judge_outputs(self, outputs: Sequence[Array], draw: Draw) -> Witness | None:
        """Whether outputs are right. A failure gets a second look (appeal.py); where rounding decides, it counts."""
        witness = self.budget.check(outputs, draw)
        if witness is None:
            return None
        found = appeal(self.oracle, self.budget, outputs, draw)
        self.undecided_calls += found.undecided
        return found.witness

    def reference_program(self, variant: str) -> Program:
        """The reference itself as a party's program."""
        payload = self._python_payload([f.to_json() for f in self.task.files], self.task.entry, variant)
        if self.gpu is not None:
            payload["device"] = self.gpu.torch_device
        return Program(payload, 180.0, nodes=self.gpu.nodes if self.gpu else ())

    def candidate_program(self, candidate: Candidate, artifact: bytes | None) -> Program:
        """A candidate as a party's program; `artifact` is its shared object for C++, its cubin for CUDA."""
        if self.gpu is not None and artifact is not None:
            return Program({
                "language": "cuda", "artifact": artifact.hex(), "plan": plan_text(candidate.files),
                "device": self.gpu.torch_device, "driver": self.gpu.driver, "capability": self.gpu.gpu.capability,
                "weights": [w.to_json() for w in self.declaration.weights],
            }, nodes=self.gpu.nodes)  # fmt: skip
        if artifact is not None:
            return Program({
                "language": "cpp", "artifact": artifact.hex(), "entry": candidate.entry,
                "threads": self.resources.threads, "weights": [w.to_json() for w in self.declaration.weights],
            })  # fmt: skip
        return Program(self._python_payload([f.to_json() for f in candidate.files], candidate.entry, "eager"), 180.0)

    def _python_payload(self, files: list[dict[str, str]], entry: str, variant: str) -> dict[str, Any]:
        declaration = self.declaration
        return {
            "language": "python", "files": files, "entry": entry, "variant": variant,
            "threads": self.resources.threads, "mode": declaration.mode,
            "init_arguments": declaration.init_arguments, "construction_seed": self.oracle.construction_seed,
            "weights": [w.to_json() for w in declaration.weights], "parameters": list(declaration.parameters),
        }  # fmt: skip

    def close(self) -> None:
        """End the oracle and free the shared memory."""
        self.oracle.close()
        if self.shared is not None:
            self.shared.close()

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _span(array: Array, spec: TensorSpec) -> Bytes:
    """The bytes of a tensor's whole span, in memory order."""
    if spec.numel == 0:
        return np.empty(0, np.uint8)
    flat = np.lib.stride_tricks.as_strided(array, (spec.span_bytes // spec.dtype.size_bytes,), (spec.dtype.size_bytes,))
    return np.ascontiguousarray(flat).view(np.uint8)


def _undefined(draw: Draw) -> str:
    """Why the reference gives no meaningful result on a draw; empty where it does."""
    for exact, own in zip(draw.expected, draw.reference, strict=True):
        if exact.dtype.kind != "f":
            continue
        if not np.isfinite(exact).all():
            return "the reference gives NaN or infinity"
        if own.dtype.kind == "f" and not np.isfinite(own).all():
            return "the reference overflows in its own type"
    return ""
