"""`python -m benchmarks.compress [SUBJECT ...] [--quick] [--resume]`, or `... report` for docs/pruning-results.md.

Every row trains, writes model folders, and has them judged in fresh processes, one thread each. What fails is a row
with its reason. Dense models are trained once for all cuts of a subject.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from assay.errors import AssayError
from benchmarks.compress.cutting import run_cut
from benchmarks.compress.plan import SUBJECTS, cuts
from benchmarks.compress.report import render
from benchmarks.referee.results import ROOT, Record, Results, this_processor, write_report

DATA = ROOT / "docs" / "data" / "pruning"
"""A file for each processor."""


def main() -> int:
    """Measure, or write the tables. Returns the exit status."""
    arguments = _parse()
    if arguments.subjects == ["report"]:
        _report(sorted(DATA.glob("*.json")))
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    torch.set_num_threads(1)
    try:
        with Results(arguments.json) as results:
            for subject in arguments.subjects or SUBJECTS:
                with results.begin(subject, {"threads": 1}, arguments.quick, arguments.resume) as record:
                    _run(subject, record, arguments.quick)
    except KeyboardInterrupt:
        print("\ninterrupted; the results are kept and --resume goes on", file=sys.stderr)
        return 130
    return 0


def _run(subject: str, record: Record, quick: bool) -> None:
    ways = list(cuts(subject, quick))
    record.total = len(ways)
    with tempfile.TemporaryDirectory(prefix="assay-pruning-") as folder:
        for cut in ways:
            if record.has(cut.name):
                continue
            try:
                row = run_cut(cut, Path(folder))
            except AssayError as error:
                row = {"name": cut.name, "subject": subject, "kind": cut.kind, "sparsity": cut.sparsity,
                       "error": " ".join(str(error).split())[:400]}  # fmt: skip
            record.add(row, _words(row))


def _words(row: dict[str, Any]) -> str:
    if "error" in row:
        return str(row["error"])
    costs = row["costs"]
    shown = ", ".join(f"{name} {costs[name][0]:.2f}x" for name in ("latency", "throughput", "size") if name in costs)
    return f"{row['verdict']}, {shown}"


def _report(files: list[Path]) -> None:
    text, pictures = render({file.stem: Results(file, writing=False).data for file in files})
    write_report(ROOT / "docs", "pruning", text, pictures)
    print(f"docs/pruning-results.md and {len(pictures)} pictures from {', '.join(file.name for file in files)}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compress", description=__doc__)
    parser.add_argument("subjects", nargs="*", help=f"{', '.join(SUBJECTS)} (default: all), or report")
    parser.add_argument("--json", type=Path, default=DATA / f"{this_processor()}.json", help="the file of results")
    parser.add_argument("--quick", action="store_true", help="almost no training: shows that everything runs")
    parser.add_argument("--resume", action="store_true", help="go on with a record that was cut short")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
