"""`python -m benchmarks.pruners run`, `report`: magnitude, Wanda and SparseGPT on a language model over bytes.

`run` trains a model for each seed, about two minutes of one core, and prunes it in all ways; `--resume` goes on after
an interruption. `report` writes docs/pruners-results.md.
"""

from __future__ import annotations

import argparse
import signal
import sys
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch

from assay.errors import AssayError
from benchmarks.moe.settings import load_settings
from benchmarks.moe.settings import quick as quick_settings
from benchmarks.moe.text import load_corpus
from benchmarks.pruners.report import render
from benchmarks.pruners.ways import ARM, BATCHES, CHUNKS, NAMES, SPARSITIES, STEPS, TRIAL, measure
from benchmarks.referee.results import ROOT, Results, this_processor

DATA = ROOT / "docs" / "data" / "pruners"
TABLE = ROOT / "docs" / "pruners-results.md"


def main() -> int:
    """Measure, or write the tables. Returns the exit status."""
    arguments = _parse()
    if arguments.command == "report":
        files = [arguments.json] if arguments.json else sorted(DATA.glob("*.json"))
        arguments.table.write_text(render([Results(file, writing=False).data for file in files]))
        print(f"{arguments.table} from {', '.join(file.name for file in files)}")
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    torch.set_num_threads(1)
    try:
        _run(arguments)
    except AssayError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; the results are kept and --resume goes on", file=sys.stderr)
        return 130
    return 0


def _run(arguments: argparse.Namespace) -> None:
    settings = quick_settings(load_settings()) if arguments.quick else load_settings()
    corpus = load_corpus(settings, arguments.text)
    fixed = {
        "arm": ARM, "rate": TRIAL.rate, "beta2": TRIAL.beta2, "sparsities": SPARSITIES, "names": NAMES,
        "chunks": CHUNKS, "batches": BATCHES, "steps": arguments.steps, "text_sha256": corpus.sha256,
    }  # fmt: skip
    with (
        Results(arguments.json or DATA / f"{this_processor()}.json") as results,
        results.begin("runs", fixed, arguments.quick, arguments.resume) as record,
    ):
        record.total = arguments.seeds
        seeds = [seed for seed in range(1, arguments.seeds + 1) if not record.has(f"seed {seed}")]
        work = partial(measure, settings=settings, corpus=corpus, steps=arguments.steps)
        with get_context("spawn").Pool(arguments.workers, torch.set_num_threads, (1,)) as pool:
            for row in pool.imap_unordered(work, seeds):
                record.add(row, "diverged" if row["dense"] is None else f"dense {row['dense']:.4f} bits per byte")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pruners", description=__doc__)
    parser.add_argument("command", choices=("run", "report"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1, help="seeds at once, one thread each")
    parser.add_argument("--steps", type=int, default=STEPS, help="of training")
    parser.add_argument("--text", type=Path, help="another text than Debian's dict-gcide")
    parser.add_argument("--json", type=Path, help="the file of results (default: this machine's in docs/data/pruners)")
    parser.add_argument("--table", type=Path, default=TABLE, help="where the report goes")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--quick", action="store_true", help="almost no training: shows that everything runs")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
