"""How often networks of n steps and width m learn the Game of Life, from one seed after another."""

from __future__ import annotations

import time

import torch

from benchmarks.life.enumeration import PATCHES, enumerate_patches
from benchmarks.life.instances import Instances
from benchmarks.life.pruning import Training
from benchmarks.life.record import Record, Row
from benchmarks.life.settings import Settings, Success
from benchmarks.life.tasks import Boards, OneStep

_BOARDS_SEED = 0


def measure_success(record: Record, settings: Settings) -> None:
    """All rows that are still missing."""
    missing = [each for each in settings.success if not record.has("success", each.name)]
    for number, each in enumerate(missing):
        row = try_instances(each)
        record.add("success", row)
        print(
            f"[{number + 1}/{len(missing)}] n={each.n} m={each.m}: {row['sampled']} of {row['instances']} right on "
            f"samples, {row['exact']} exact, {row['cpu_s']:.0f} s of CPU", flush=True,
        )  # fmt: skip


def try_instances(of: Success) -> Row:
    """Train all instances at once on random boards, the same for all. An instance is done at the first look at which it
    is right on all that is looked at: 512 patches for one step, 163,840 cells of other boards for more.

    A row: `sampled`, how many were right so; `exact`, how many of them are right on every patch there is, None where
    these cannot be enumerated; `wrong`, on how many patches each of the sampled ones is wrong.
    """
    begun = time.process_time()
    instances = Instances(of.n, of.m, range(of.instances))
    task = OneStep(_BOARDS_SEED) if of.n == 1 else Boards(of.n, _BOARDS_SEED)
    training = Training(instances, task.loss, of.rate, 0.0)
    when: list[int | None] = [None] * of.instances
    wrong: list[int] = []
    left = list(range(of.instances))
    while training.done < of.steps and left:
        training.run(min(of.every, of.steps - training.done))
        right = task.holds(instances)
        for place in torch.nonzero(right)[:, 0].tolist():
            when[left[place]] = training.done
            if of.n in PATCHES:
                wrong.append(enumerate_patches(instances.network(place)).wrong)
        left = [each for each, done in zip(left, right.tolist(), strict=True) if not done]
        training.only(torch.nonzero(~right)[:, 0])
    return {
        "name": of.name, "n": of.n, "m": of.m, "instances": of.instances, "steps": of.steps, "rate": of.rate,
        "sampled": sum(each is not None for each in when), "when_right": when, "wrong": wrong,
        "exact": sum(each == 0 for each in wrong) if of.n in PATCHES else None,
        "cpu_s": round(time.process_time() - begun, 1),
    }  # fmt: skip
