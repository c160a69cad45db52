"""One experiment: networks trained until they are right, pruned to a tenth, pruned on, and proved."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from benchmarks.life import bands, networks
from benchmarks.life.controls import try_controls
from benchmarks.life.enumeration import PATCHES, enumerate_patches
from benchmarks.life.folding import fold, left
from benchmarks.life.instances import Instances
from benchmarks.life.network import LifeNetwork, parameter_count
from benchmarks.life.pruning import Training, prune
from benchmarks.life.record import Record, Row
from benchmarks.life.rounding import rounding_bound
from benchmarks.life.settings import Pruning, Settings, Supervision
from benchmarks.life.tasks import Counterexamples, OneStep, StepByStep, Task

_LOOK_EVERY = 500
"""Steps of dense training between two looks at whether it is done."""

Say = Callable[[str], None]


def find_all(record: Record, settings: Settings, chosen: Sequence[Pruning], folder: Path) -> None:
    """What these experiments still lack; a group of seeds that was interrupted starts again, to the same end."""
    for pruning in chosen:
        groups = [pruning.seeds] if pruning.together else [(seed,) for seed in pruning.seeds]
        for seeds in groups:
            stages = [f"{pruning.name}-{seed}-{stage}" for seed in seeds for stage in ("tenth", "smallest")]
            if not all(record.has("prune", name) for name in stages):
                left: list[list[int]] = []
                try:
                    _find(record, settings, pruning, seeds, folder, left)
                except KeyboardInterrupt:
                    record.add("stopped", *_stopped(pruning, seeds, left))
                    raise


def _stopped(pruning: Pruning, seeds: Sequence[int], left: list[list[int]]) -> list[Row]:
    """How far seeds were that are not finished: a report without them would choose those that end soon, which hold."""
    return [
        {
            "name": f"{pruning.name}-{seed}", "experiment": pruning.name, "seed": seed,
            "left": [each[place] for each in left],
        }
        for place, seed in enumerate(seeds)
    ]  # fmt: skip


def _find(
    record: Record, settings: Settings, pruning: Pruning, seeds: Sequence[int], folder: Path, history: list[list[int]]
) -> None:
    """Adds what is left after each round to `history`, and rows to the record."""
    begun, cpu_begun, spent = time.monotonic(), time.process_time(), 0.0
    rows: list[Row] = []

    def say(words: str) -> None:
        print(f"[{pruning.name} {', '.join(map(str, seeds))}] {words}, {time.monotonic() - begun:.0f} s", flush=True)

    task, training = _begin(pruning, seeds)
    held = _train_dense(training, task, pruning, say)
    dense_steps = training.done
    least = int(settings.tenth * parameter_count(pruning.n, pruning.m))
    further = dataclasses.replace(pruning.schedule, rounds=pruning.further)
    for stage, schedule, goal in (("tenth", pruning.schedule, least), ("smallest", further, 1)):
        prune(training, task.holds, schedule, held, goal, history, say)
        spent += (time.process_time() - cpu_begun) / len(seeds)
        for place, seed in enumerate(seeds):
            name = f"{pruning.name}-{seed}-{stage}"
            network = training.instances.network(place)
            rows.append({
                "name": name, "experiment": pruning.name, "supervision": pruning.supervision.value, "n": pruning.n,
                "m": pruning.m, "seed": seed, "stage": stage, "begun": bool(held[place]),
                "reached": bool(held[place]) and int(training.left()[place]) <= least, "dense_steps": dense_steps,
                "steps": training.done, "cpu_s": round(spent, 1), "left": [each[place] for each in history],
                "proof": prove(network), "network": name,
            })  # fmt: skip
            networks.keep(name, network, folder)
        if pruning.supervision is Supervision.PATCHES:
            record.add("controls", *try_controls(training, seeds, stage, pruning.schedule.rate, settings.control_every))
        cpu_begun = time.process_time()  # neither proofs nor controls are part of finding a network
    record.add("prune", *rows)
    say(f"{sum(row['reached'] for row in rows) // 2} of {len(seeds)} at a tenth")


def _begin(pruning: Pruning, seeds: Sequence[int]) -> tuple[Task, Training]:
    instances, task = Instances(pruning.n, pruning.m, seeds), _task(pruning, seeds)
    training = Training(instances, task.loss, pruning.schedule.rate, pruning.schedule.l1)
    if isinstance(task, StepByStep):
        training.set_masks(task.narrow(training.masks))
    return task, training


def _task(pruning: Pruning, seeds: Sequence[int]) -> Task:
    if pruning.supervision is Supervision.PATCHES:
        return OneStep()
    if pruning.supervision is Supervision.STEP_BY_STEP:
        return StepByStep(pruning.n, seeds[0])
    return Counterexamples(seeds[0], pruning.side)


def _train_dense(training: Training, task: Task, pruning: Pruning, say: Say) -> Tensor:
    """Until all hold; returns which do."""
    while True:
        training.run(min(_LOOK_EVERY, pruning.dense_steps))
        held = task.holds(training.instances)
        say(f"dense, step {training.done}: {int(held.sum())} hold")
        if held.all() or training.done >= pruning.dense_steps:
            return held


def prove(network: LifeNetwork) -> dict[str, Any]:
    """What is known for certain about one network, and what it needs; enumerated folded, too, since folding rounds."""
    found: Row = {
        "left": dataclasses.asdict(left(network)),
        "rounding": {kind: rounding_bound(network, kind) for kind in ("float32", "float64")},
        "composition": dataclasses.asdict(bands.prove(network)),
        "enumeration": None,
    }
    if network.n in PATCHES:
        begun = time.monotonic()
        each, folded = enumerate_patches(network), enumerate_patches(fold(network))
        found["enumeration"] = {
            "patches": each.patches, "wrong": each.wrong, "margin": each.margin, "examples": each.examples.tolist(),
            "folded_wrong": folded.wrong, "wall_s": round((time.monotonic() - begun) / 2, 2),
        }  # fmt: skip
    return found
