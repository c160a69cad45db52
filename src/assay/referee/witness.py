"""One recorded wrong output, tried again alone: the same inputs and weights, in a fresh process of the candidate.

A witness that repeats settles a rejection in seconds. One that does not proves nothing: bugs that need an earlier call,
another shape or an unlucky moment show only in the whole judgement.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from assay.core.sources import Task
from assay.core.verdicts import Finding
from assay.referee.bench import Bench, Landing
from assay.referee.protocol.party import Program

CODE = "wrong-result"
_CALL_SECONDS = 60.0


def find_witness(findings: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The data of the first finding that can be repeated alone; None where there is none."""
    for finding in findings:
        data = finding.get("data") or {}
        if finding.get("code") == CODE and int(data.get("seed") or 0) and "weights_seeds" in data:
            return dict(data)
    return None


def task_of_witness(task: Task, witness: Mapping[str, Any]) -> Task:
    """The task at the sizes at which the candidate was wrong, and only at those."""
    return replace(task, overrides={**task.overrides, "axes": witness["axes"], "workloads": [{}], "limits": {}})


def repeat_witness(bench: Bench, program: Program, witness: Mapping[str, Any]) -> str:
    """What the candidate gives now on the witness's inputs; empty where that is right.

    `bench` is calibrated, of `task_of_witness`, with the witness's construction seed. Raises KeyError or ValueError for
    data that is no witness.
    """
    seeds = int(witness["seed"]), int(witness["run_seed"])
    of_all, of_parameters = (int(seed) for seed in witness["weights_seeds"])
    draw = bench.repeat_draw(str(witness["family"]), seeds, (of_all, of_parameters))
    party = bench.party(program)
    try:
        if party.problem is None:
            party.lay_out(bench.timed)
        outputs = None
        if party.problem is None:
            bench.land(Landing.of(draw))
            _, outputs = party.call(draw.run_seed, _CALL_SECONDS)
        problem: Finding | None = party.problem
    finally:
        party.close()
    if problem is not None or outputs is None:
        return problem.message if problem else "no output"
    wrong = bench.judge_outputs(outputs, draw)
    return wrong.describe() if wrong else ""
