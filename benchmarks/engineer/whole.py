"""Whole models and training steps, before and after: what a user's own `assay optimize` gives, as rows."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

from assay.applied.compare import compare
from assay.applied.curves import LearningConfig
from assay.applied.measured import compare_learning, time_steps
from assay.applied.model import apply_certificates
from assay.applied.training import load_step_kernels
from assay.engineer.model import choose_parts, optimize_parts
from assay.engineer.optimize import OptimizeConfig
from assay.engineer.own_module import load_own_module
from assay.engineer.publishing import certificates_of, publish_part
from assay.engineer.training.parts import optimize_step, step_parts, step_tasks
from assay.engineer.training.recipe import load_recipe
from assay.referee.judge import silent
from benchmarks.referee.results import ROOT

MODELS = sorted((ROOT / "benchmarks" / "engineer" / "models").glob("*.py"))
TRAININGS = sorted((ROOT / "examples").glob("train_*.py"))


def model_row(path: Path, config: OptimizeConfig) -> dict[str, Any]:
    """A model in parts, and the whole of it in turns with eager and torch.compile."""
    model, inputs = load_own_module(f"{path}:Model")
    original, parts = copy.deepcopy(model), choose_parts(model, inputs)
    with tempfile.TemporaryDirectory(prefix="assay-whole-") as folder:
        runs, outcomes = Path(folder), []
        for part, found, where in optimize_parts(parts, config, runs, silent):
            outcomes.append(publish_part(part, found, where, runs))
    rows, certificates = [one.part.to_json(one.found) for one in outcomes], certificates_of(outcomes)
    row: dict[str, Any] = {"parts": rows, "left_out": parts.left_out, "whole": None}
    if certificates:
        apply_certificates(model, certificates, inputs)
        row["whole"] = compare(original, model, inputs).to_json()
    return row


def training_row(path: Path, config: OptimizeConfig) -> dict[str, Any]:
    """A training step in its two parts, the whole of it in turns with PyTorch's own, and the loss curves."""
    recipe = load_recipe(path)
    parts = step_parts(step_tasks(recipe))
    with tempfile.TemporaryDirectory(prefix="assay-whole-") as folder:
        runs, outcomes = Path(folder), []
        for part, found, where in optimize_step(parts, config, runs, silent):
            outcomes.append(publish_part(part, found, where, runs))
    rows, certificates = [one.part.to_json(one.found) for one in outcomes], certificates_of(outcomes)
    row: dict[str, Any] = {"parts": rows, "left_out": {}, "whole": None}
    if rows[0]["speedup"] is None:
        return row
    kernels, learning = load_step_kernels(certificates), LearningConfig()
    row["whole"] = time_steps(recipe, kernels).to_json()
    curves = compare_learning(recipe, kernels, learning, silent).to_json()
    curves["last"] = {side: [one[-1] for one in curves.pop(side)] for side in ("original", "applied")}
    return row | {"learning": curves | {"steps": learning.steps, "seeds": learning.seeds}}
