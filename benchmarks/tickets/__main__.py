"""`python -m benchmarks.tickets run`, `report`: lottery tickets of LeNet-300-100 on Fashion-MNIST, and fine-tuning.

`run` trains what is still missing, any number of times; `report` writes docs/tickets-results.md and its pictures.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

import torch

from assay.errors import AssayError
from benchmarks.referee.results import ROOT, this_processor, write_report
from benchmarks.tickets.images import load_parts
from benchmarks.tickets.record import DATA, Record
from benchmarks.tickets.report import render
from benchmarks.tickets.running import run_all
from benchmarks.tickets.settings import Settings, load_settings, quick


def main() -> int:
    """Run one command. Returns the exit status."""
    arguments = _parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    torch.set_num_threads(1)
    try:
        settings = quick(load_settings()) if arguments.quick else load_settings()
        if arguments.command == "report":
            _report(settings, [arguments.json] if arguments.json else sorted(DATA.glob("*.json")), arguments.docs)
        else:
            path = arguments.json or DATA / f"{this_processor()}.json"
            with Record(path, settings, load_parts(settings), quick=arguments.quick) as record:
                run_all(record, settings, arguments.workers)
    except AssayError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; finished lines are kept and the same command goes on", file=sys.stderr)
        return 130
    return 0


def _report(settings: Settings, files: list[Path], docs: Path) -> None:
    text, pictures = render({file.stem: json.loads(file.read_text()) for file in files}, settings)
    write_report(docs, "tickets", text, pictures)
    print(f"{docs / 'tickets-results.md'} and {len(pictures)} pictures from {', '.join(file.name for file in files)}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tickets", description=__doc__)
    parser.add_argument("command", choices=("run", "report"))
    parser.add_argument("--json", type=Path, help="the file of results (default: this machine's in docs/data/tickets)")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where the report goes")
    parser.add_argument("--workers", type=int, default=2, help="lines at once, one thread each")
    parser.add_argument("--quick", action="store_true", help="almost no training: shows that everything runs")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
