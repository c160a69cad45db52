"""`python -m benchmarks.moe run [ARM ...]`, `match`, `costs`, `report`: sparse language models beside dense ones.

`run` trains what is still missing, any number of times; `match` only finds the widths at which block-sparse arms cost
what the dense one does, as `run` does once nothing else is left; `costs` wants a silent machine; `report` writes docs/.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

import torch

from assay.errors import AssayError
from benchmarks.moe.costs import measure_costs
from benchmarks.moe.matching import match_all
from benchmarks.moe.record import DATA, Record, this_processor
from benchmarks.moe.running import run_all
from benchmarks.moe.settings import Settings, load_settings, quick
from benchmarks.moe.text import load_corpus


def main() -> int:
    """Run one command. Returns the exit status."""
    arguments = _parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    torch.set_num_threads(1)
    try:
        settings = quick(load_settings()) if arguments.quick else load_settings()
        _command(arguments, settings)
    except AssayError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; finished runs are kept and the same command goes on", file=sys.stderr)
        return 130
    return 0


def _command(arguments: argparse.Namespace, settings: Settings) -> None:
    corpus = load_corpus(settings, arguments.text)
    path = arguments.json or DATA / f"{this_processor()}.json"
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


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.moe", description=__doc__)
    parser.add_argument("command", choices=("run", "match", "costs", "report"))
    parser.add_argument("arms", nargs="*", help="names of arms (default: all)")
    parser.add_argument("--text", type=Path, help="another text than Debian's dict-gcide")
    parser.add_argument("--json", type=Path, help="the file of results (default: this machine's in docs/data/moe)")
    parser.add_argument("--workers", type=int, default=2, help="runs at once, one thread each")
    parser.add_argument("--quick", action="store_true", help="almost no training: shows that everything runs")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
