"""`python -m benchmarks.sparse [SUITE ...] [--quick] [--resume]`, or `... report` for docs/sparse-results.md.

Every suite runs with one thread and measures that thread's CPU time, its ways in turns, each checked against float64
before it is timed. What fails is a row with its reason.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from assay.errors import AssayError
from benchmarks.referee.results import ROOT, Record, Results, this_processor
from benchmarks.sparse.attention import attention_cases
from benchmarks.sparse.convolutions import convolution_cases
from benchmarks.sparse.experts import expert_cases
from benchmarks.sparse.layers import layer_cases
from benchmarks.sparse.products import forward_cases, training_cases
from benchmarks.sparse.report import render
from benchmarks.sparse.timing import WrongResult, single_thread
from benchmarks.sparse.unstructured import unstructured_cases

Cases = Callable[[bool], Iterator[tuple[str, Callable[[], dict[str, Any]]]]]
SUITES: dict[str, Cases] = {
    "forward": forward_cases,
    "training": training_cases,
    "layers": layer_cases,
    "unstructured": unstructured_cases,
    "convolutions": convolution_cases,
    "experts": expert_cases,
    "attention": attention_cases,
}
DATA = ROOT / "docs" / "data" / "sparse"
"""A file for each processor."""
TABLE = ROOT / "docs" / "sparse-results.md"


def main() -> int:
    """Measure, or write the tables. Returns the exit status."""
    arguments = _parse()
    if arguments.suites == ["report"]:
        files = sorted(DATA.glob("*.json"))
        TABLE.write_text(render([Results(file, writing=False).data for file in files]))
        print(f"{TABLE} from {', '.join(file.name for file in files)}")
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    single_thread()
    try:
        with Results(arguments.json) as results:
            for name in arguments.suites or SUITES:
                with results.begin(name, {"threads": 1}, arguments.quick, arguments.resume) as record:
                    _run(list(SUITES[name](arguments.quick)), record)
    except KeyboardInterrupt:
        print("\ninterrupted; the results are kept and --resume goes on", file=sys.stderr)
        return 130
    return 0


def _run(cases: list[tuple[str, Callable[[], dict[str, Any]]]], record: Record) -> None:
    record.total = len(cases)
    for name, measure in cases:
        if record.has(name):
            continue
        try:
            row = measure()
        except (AssayError, WrongResult) as error:
            row = {"failed": str(error)[:300]}
        speed = row.get("speedup")
        record.add({"name": name, **row}, f"{speed[0]:.2f}x" if speed else row.get("failed", "measured"))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sparse", description=__doc__)
    parser.add_argument("suites", nargs="*", choices=[*SUITES, "report", []], help="default: all of them")
    parser.add_argument("--quick", action="store_true", help="one case of each, to see that it runs")
    parser.add_argument("--json", type=Path, default=DATA / f"{this_processor()}.json")
    parser.add_argument("--resume", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
