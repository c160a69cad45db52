"""What every arm costs: CPU time of one thread in turns, memory, file size. Wants a silent machine.

Measured on the trained models of the first seed, since how evenly a router spreads tokens decides what it costs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from benchmarks.moe.checkpoint import load_model, saved
from benchmarks.moe.matching import training_call
from benchmarks.moe.memory import peaks
from benchmarks.moe.model import LanguageModel, parameters
from benchmarks.moe.plan import chosen_trial
from benchmarks.moe.record import Record
from benchmarks.moe.settings import Arm, Settings
from benchmarks.moe.text import Corpus
from benchmarks.moe.training import Run
from benchmarks.referee.results import conditions
from benchmarks.sparse.timing import Call, Times, take_turns

KINDS = ("training", "inference", "single")
"""A training step; a forward pass of a batch of its size; a forward pass of one sequence."""
_ROUNDS = 31
_QUICK_ROUNDS = 7


def measure_costs(record: Record, settings: Settings, corpus: Corpus, quick: bool) -> None:
    """Measure every arm that can be made, experiment by experiment, and keep the costs in place of older ones."""
    before = conditions()
    arms: dict[str, Any] = {}
    for name, experiment in settings.experiments.items():
        of_it = [arm for arm in settings.arms if arm.experiment == name]
        of_it = [arm for arm in of_it if arm.hidden or arm.name in record.matched]
        arms |= _experiment(of_it, experiment.reference, record, settings, corpus, _QUICK_ROUNDS if quick else _ROUNDS)
    record.put("costs", {"arms": arms, "conditions": [before, conditions()]})


def _experiment(
    arms: list[Arm], reference: str, record: Record, settings: Settings, corpus: Corpus, rounds: int
) -> dict[str, Any]:
    runs = {arm.name: _run_of(arm, record, settings) for arm in arms}
    found: dict[str, dict[str, Any]] = {}
    for arm in arms:
        model, trained = load_model(runs[arm.name], settings, corpus.sha256)
        total, active = parameters(model, arm)
        facts = {"trained": trained, "parameters": total, "active": active, "file_bytes": len(saved(model))}
        found[arm.name] = facts | {"peak_bytes": peaks(runs[arm.name], settings, corpus)}
        print(f"[costs] {arm.name}: {total:,} parameters, peaks {found[arm.name]['peak_bytes']}", flush=True)
    for kind in KINDS:
        ways = {}
        for arm in arms:
            model, _ = load_model(runs[arm.name], settings, corpus.sha256)
            ways[arm.name] = _call(kind, model, arm, settings, corpus)
        times = take_turns(ways, rounds)
        for arm in arms:
            found[arm.name][kind] = _cost(times, arm.name, reference)
        shown = ", ".join(f"{arm.name} {found[arm.name][kind]['ratio'][0]:.2f}x" for arm in arms)
        print(f"[costs] {kind}, over {reference}: {shown}", flush=True)
    return found


def _run_of(arm: Arm, record: Record, settings: Settings) -> Run:
    trial = chosen_trial(record.rows, arm, settings) or settings.sweep[0]
    return Run(arm.name, trial, settings.seeds[0], record.matched.get(arm.name))


def _call(kind: str, model: LanguageModel, arm: Arm, settings: Settings, corpus: Corpus) -> Call:
    if kind == "training":
        return training_call(model, arm, settings, corpus)
    shape = settings.of(arm)
    tokens = corpus.batch(torch.Generator().manual_seed(0), shape.batch if kind == "inference" else 1, shape.context)
    return _inference(model.eval(), tokens[:, :-1].contiguous())


def _inference(model: LanguageModel, tokens: Tensor) -> Call:
    def call() -> Tensor:
        with torch.inference_mode():
            logits: Tensor = model(tokens)[0]
        return logits

    return call


def _cost(times: Times, name: str, reference: str) -> dict[str, Any]:
    seconds = [float(f"{each:.6g}") for each in times.seconds[name]]
    return {"seconds": seconds, "median_ms": times.median_ms(name), "ratio": times.ratio(name, reference)}
