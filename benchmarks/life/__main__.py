"""`python -m benchmarks.life success`, `prune [EXPERIMENT ...]`, `enumerate [NETWORK ...]`, `report`: the Game of Life.

`success` measures how often networks learn it at all, `prune` finds small ones, `enumerate` proves kept ones again and
times that, `programs` exports one-step networks to C99 and ONNX and compares all 512 answers; each does what is still
missing, any number of times. `report` writes docs/.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from pathlib import Path

import torch

from assay.errors import AssayError, InputError
from benchmarks.life import networks
from benchmarks.life.enumeration import PATCHES, enumerate_patches
from benchmarks.life.finding import find_all, prove
from benchmarks.life.network import LifeNetwork
from benchmarks.life.programs import KINDS, prove_programs
from benchmarks.life.record import DATA, Record, Row
from benchmarks.life.report import render
from benchmarks.life.settings import Pruning, Settings, full, quick
from benchmarks.life.success import measure_success
from benchmarks.referee.results import ROOT, this_processor, write_report


def main() -> int:
    """Run one command. Returns the exit status."""
    arguments = _parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    torch.set_num_threads(1)
    try:
        _command(arguments, quick() if arguments.quick else full())
    except AssayError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; finished rows are kept and the same command goes on", file=sys.stderr)
        return 130
    return 0


def _command(arguments: argparse.Namespace, settings: Settings) -> None:
    path = arguments.json or DATA / f"{this_processor()}.json"
    folder = path.parent / "networks"
    if arguments.command == "report":
        _report([arguments.json] if arguments.json else sorted(DATA.glob("*.json")), settings, arguments.docs)
    elif arguments.command == "enumerate" and arguments.names:
        for name in arguments.names:
            print(json.dumps({"name": name, **prove(networks.load(name, folder))}, indent=1))
    else:
        with Record(path, settings, quick=arguments.quick) as record:
            if arguments.command == "success":
                measure_success(record, settings)
            elif arguments.command == "prune":
                find_all(record, settings, _chosen(settings, arguments.names), folder)
            elif arguments.command == "programs":
                _prove_programs(record, folder)
            else:
                _enumerate_all(record, folder)


def _chosen(settings: Settings, names: list[str]) -> list[Pruning]:
    known = {each.name: each for each in settings.pruning}
    for name in names:
        if name not in known:
            raise InputError("there is no such experiment", value=name, rule=f"one of {', '.join(known)}")
    return [known[name] for name in names or known]


def _enumerate_all(record: Record, folder: Path) -> None:
    """Every kept network once more, and dense ones with their first values, for the time that it takes."""
    kept = {name: networks.load(name, folder) for name in networks.names(folder)}
    torch.manual_seed(0)
    dense = {f"dense-m{m}": LifeNetwork(2, m) for m in (8, 16, 32)}
    for name, network in {**dense, **kept}.items():
        if network.n not in PATCHES:
            continue
        row: Row = {"name": name, "n": network.n, "m": network.m, "wall_s": {}, "cpu_s": {}}
        for threads in (1, 2):
            wall, cpu = time.perf_counter(), time.process_time()
            found = enumerate_patches(network, threads=threads)
            row["wall_s"][str(threads)] = round(time.perf_counter() - wall, 3)
            row["cpu_s"][str(threads)] = round(time.process_time() - cpu, 3)
        record.add("enumerate", {**row, "wrong": found.wrong, "margin": found.margin})
        print(
            f"{name}: {found.wrong:,} of {found.patches:,} wrong, {row['wall_s']['2']:.2f} s on 2 threads", flush=True
        )


def _prove_programs(record: Record, folder: Path) -> None:
    for name in networks.names(folder):
        network = networks.load(name, folder)
        if network.n == 1:
            row = prove_programs(name, network)
            record.add("programs", row)
            wrong = ", ".join(f"{kind} {row[kind]['other']}" for kind in KINDS)
            print(f"{name}: PyTorch has {row['pytorch_wrong']} of 512 wrong; other answers: {wrong}", flush=True)


def _report(files: list[Path], settings: Settings, docs: Path) -> None:
    if not files:
        raise InputError("there are no results", value=str(DATA), next_step="python -m benchmarks.life prune")
    text, pictures = render(
        {file.stem: json.loads(file.read_text()) for file in files}, settings, files[0].parent / "networks"
    )
    write_report(docs, "life", text, pictures)
    print(f"{docs / 'life-results.md'} and {len(pictures)} pictures from {', '.join(file.name for file in files)}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.life", description=__doc__)
    parser.add_argument("command", choices=("success", "prune", "enumerate", "programs", "report"))
    parser.add_argument("names", nargs="*", help="experiments to prune, or kept networks to prove (default: all)")
    parser.add_argument("--json", type=Path, help="the file of results (default: this machine's in docs/data/life)")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where the report goes")
    parser.add_argument("--quick", action="store_true", help="almost no training: shows that everything runs")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
