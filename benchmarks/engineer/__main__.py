"""`python -m benchmarks.engineer [PATH] [--budget 5m] [--scaled] [--resume]`, or `... report` for the tables.

Without a path, the built-in tasks; `models` and `training` are whole models and training steps, `knockoffs` times
clones of one kernel. What cannot be optimised is a row with its reason.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from assay.cli.optimize import parse_duration
from assay.engineer.optimize import DEVICES, OptimizeConfig, Optimized, optimize_task
from assay.errors import AssayError
from assay.referee.gpu import GpuRuntime
from assay.referee.judge import silent
from assay.report.units import estimate_text
from assay.search import FileLedger, StopCause
from assay.tasks.listing import list_tasks
from assay.tasks.load import load_task
from benchmarks.engineer.knockoffs import knockoff_row
from benchmarks.engineer.report import render
from benchmarks.engineer.whole import MODELS, TRAININGS, model_row, training_row
from benchmarks.referee.results import ROOT, Record, Results, this_processor

DATA = ROOT / "docs" / "data" / "engineer"
"""A file for each processor: which kernels win depends on it."""
TABLE = ROOT / "docs" / "engineer-results.md"
KNOCKOFFS = "knockoffs"
WHOLE = {"models": (MODELS, model_row), "training": (TRAININGS, training_row)}


def main() -> int:
    """Optimise every task, or write the table. Returns the exit status."""
    arguments = _parse()
    if arguments.path == "report":
        files = sorted(DATA.glob("*.json"))
        TABLE.write_text(render([Results(file, writing=False).data for file in files]))
        print(f"{TABLE} from {', '.join(file.name for file in files)}")
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settings = {"path": arguments.path, "budget_s": parse_duration(arguments.budget), "scaled": arguments.scaled,
                "strategy": arguments.strategy, "seed": arguments.seed}  # fmt: skip
    if arguments.device != "cpu":
        settings |= {"device": arguments.device, "gpu": GpuRuntime.find().to_json()}
    if arguments.path in WHOLE:
        names = [str(path.relative_to(ROOT)) for path in WHOLE[arguments.path][0]]
    else:
        folder = Path(arguments.path) if arguments.path not in (None, KNOCKOFFS) else None
        names = [each.spec for each in list_tasks(folder)]
    chosen = [name for name in names[:: arguments.every] if not arguments.only or Path(name).stem in arguments.only]
    usual = "builtin" if arguments.device == "cpu" else f"builtin-{arguments.device}"
    suite = arguments.suite or (arguments.path if arguments.path in (*WHOLE, KNOCKOFFS) else usual)
    try:
        with Results(arguments.json) as results, results.begin(suite, settings, False, arguments.resume) as record:
            if arguments.path in WHOLE:
                _run_whole(chosen, settings, record)
            elif arguments.path == KNOCKOFFS:
                _run_knockoffs(chosen, record)
            else:
                _run(chosen, settings, record)
    except KeyboardInterrupt:
        print("\ninterrupted; the results are kept and --resume goes on", file=sys.stderr)
        return 130
    return 0


def _run_whole(names: list[str], settings: dict[str, Any], record: Record) -> None:
    record.total = len(names)
    make = WHOLE[settings["path"]][1]
    config = OptimizeConfig(settings["budget_s"], settings["strategy"], settings["seed"])
    for name in names:
        if record.has(name):
            continue
        try:
            row = make(ROOT / name, config)
        except AssayError as error:
            row = {"parts": [], "left_out": {"": f"{error.what}: {error.value}"[:300]}, "whole": None}
        speed = row["whole"]["speedup"] if row["whole"] else None
        record.add({"name": name, **row}, estimate_text(*speed) if speed else "nothing certified")


def _run_knockoffs(names: list[str], record: Record) -> None:
    record.total = len(names)
    for name in names:
        if not record.has(name):
            row = knockoff_row(load_task(name))
            record.add({"name": name, **row}, f"{row['won']} of {row['tried']}")


def _run(names: list[str], settings: dict[str, Any], record: Record) -> None:
    record.total = len(names)
    device = settings.get("device", "cpu")
    config = OptimizeConfig(settings["budget_s"], settings["strategy"], settings["seed"], device=device)
    for name in names:
        if record.has(name):
            continue
        try:
            task = load_task(name, profile="scaled" if settings["scaled"] else "full")
            with tempfile.TemporaryDirectory(prefix="assay-engineer-") as folder, FileLedger(Path(folder)) as ledger:
                done = optimize_task(task, config, ledger, lambda _event: None, silent)
                if done.search.cause is StopCause.INTERRUPTED:
                    raise KeyboardInterrupt
                found = _row(done)
        except AssayError as error:
            found = {"outcome": "not-tried", "reason": f"{error.what}: {error.value}"[:300]}
        speed = found.get("speedup")
        words = estimate_text(*speed) if speed else found.get("reason", "")
        record.add({"name": name, **found}, f"{found['outcome']} {words}")


def _row(found: Optimized) -> dict[str, Any]:
    """The judgement that counts: the accepted one, else the last."""
    judged = found.accepted or (found.judgements[-1] if found.judgements else None)
    baseline = judged.baseline.variant if judged is not None and judged.baseline is not None else None
    codes = [finding.code for finding in judged.findings] if judged is not None else []
    return {
        "outcome": judged.verdict.value if judged is not None else "nothing-right",
        "speedup": judged.speedup if judged is not None else None,
        "baseline": baseline,
        "findings": codes,
        **found.to_json(),
    }


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engineer", description=__doc__)
    parser.add_argument(
        "path", nargs="?", help="a folder of tasks (default: the built-in ones), models, training, or report"
    )
    parser.add_argument("--every", type=int, default=1, help="every n-th task only, from the first on")
    parser.add_argument("--only", nargs="*", help="names of tasks")
    parser.add_argument("--suite", default="", help="the name of the record")
    parser.add_argument("--budget", default="5m", help="for each task")
    parser.add_argument("--strategy", default="evolution")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scaled", action="store_true", help="KernelBench: sizes that a small machine can run")
    parser.add_argument("--device", default="cpu", choices=DEVICES, help="cuda: generated CUDA on this machine's GPU")
    parser.add_argument("--json", type=Path, default=DATA / f"{this_processor()}.json")
    parser.add_argument("--resume", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
