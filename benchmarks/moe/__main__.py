"""`python -m benchmarks.moe run [ARM ...]`, `match`, `costs`, `report`: sparse language models beside dense ones.

`run` trains what is still missing, any number of times; `match` only finds the widths at which block-sparse arms cost
what the dense one does, as `run` does once nothing else is left; `costs` wants a silent machine; `report` writes docs/.
With --again, what the first experiment left undecided, on seeds that nothing has used.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

import torch

from assay.errors import AssayError
from benchmarks.moe.costs import measure_costs
from benchmarks.moe.matching import match_all
from benchmarks.moe.record import DATA, DATA_AGAIN, Record
from benchmarks.moe.report import Stage, render
from benchmarks.moe.running import run_all
from benchmarks.moe.settings import AGAIN, FROZEN, Settings, load_settings, quick
from benchmarks.moe.text import load_corpus
from benchmarks.referee.results import ROOT, this_processor, write_report


def main() -> int:
    """Run one command. Returns the exit status."""
    arguments = _parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    torch.set_num_threads(1)
    try:
        settings = load_settings(AGAIN if arguments.again else FROZEN)
        settings = quick(settings) if arguments.quick else settings
        _command(arguments, settings)
    except AssayError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; finished runs are kept and the same command goes on", file=sys.stderr)
        return 130
    return 0


def _command(arguments: argparse.Namespace, settings: Settings) -> None:
    if arguments.command == "report":
        _report(arguments.docs)
        return
    corpus = load_corpus(settings, arguments.text)
    path = arguments.json or (DATA_AGAIN if arguments.again else DATA) / f"{this_processor()}.json"
    arms = [settings.arm(name) for name in arguments.arms] or list(settings.arms)
    with Record(path, settings, corpus.sha256, quick=arguments.quick) as record:
        if arguments.command == "costs":
            measure_costs(record, settings, corpus, arguments.quick)
            return
        if arguments.command == "run":
            ready = [arm for arm in arms if not arm.sparsity or arm.name in record.matched]
            run_all(record, settings, ready, arguments.text, arguments.workers)
        match_all(record, settings, corpus, arms)
        if arguments.command == "run":
            run_all(record, settings, arms, arguments.text, arguments.workers)


def _report(docs: Path) -> None:
    stages = [_stage(FROZEN, DATA, ""), _stage(AGAIN, DATA_AGAIN, "again-")]
    text, pictures = render(stages)
    write_report(docs, "moe", text, pictures)
    print(f"{docs / 'moe-results.md'} and {len(pictures)} pictures")


def _stage(settings: Path, data: Path, prefix: str) -> Stage:
    machines = {f"{prefix}{file.stem}": json.loads(file.read_text()) for file in sorted(data.glob("*.json"))}
    return Stage(settings.name, load_settings(settings), machines)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.moe", description=__doc__)
    parser.add_argument("command", choices=("run", "match", "costs", "report"))
    parser.add_argument("arms", nargs="*", help="names of arms (default: all)")
    parser.add_argument("--text", type=Path, help="another text than Debian's dict-gcide")
    parser.add_argument("--json", type=Path, help="the file of results (default: this machine's in docs/data/moe)")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where the report goes")
    parser.add_argument("--again", action="store_true", help="run, match or costs of the second experiment")
    parser.add_argument("--workers", type=int, default=2, help="runs at once, one thread each")
    parser.add_argument("--quick", action="store_true", help="almost no training: shows that everything runs")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
